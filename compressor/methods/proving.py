"""Plans that are proven, and groups that are left whole because no cut of them can be."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from torch import Tensor, nn

from compressor.base.errors import OracleError
from compressor.base.pace import Pace, Say
from compressor.base.text import foreign
from compressor.channels import ChannelGraph
from compressor.steps.choice import Choice
from compressor.steps.plan import PrunePlan, cut
from compressor.steps.shrink import ORACLE_LIMIT, OracleReport, check, run_shrunk
from compressor.zoo import Architecture

_WORDS = 160
"""Of an error that a network's own code ends with."""
_NAMES = 5
"""Of groups that are listed."""


def proof_of(
    model: nn.Module,
    plan: PrunePlan,
    inputs: Sequence[Tensor],
    graph: ChannelGraph,
    choices: Mapping[int, Choice],
) -> OracleReport:
    """Prove the plan; where units are inexact, prove that the result runs and say why no more is claimed.

    Raises:
        OracleError: the plan is wrong, or the small network does not run.
    """
    inexact = [graph.groups[i].inexact for i in choices if graph.groups[i].inexact]
    if not inexact:
        return check(model, plan, inputs)
    run_shrunk(model, plan, inputs)
    return OracleReport(max_relative_difference=None, limit=ORACLE_LIMIT, refused=inexact[0])


def culprits(
    view: nn.Module, arch: Architecture, graph: ChannelGraph, choices: Mapping[int, Choice], say: Say
) -> dict[int, str]:
    """Return the groups whose cut cannot be proven even alone, each with what happens then.

    A forward with numbers of its own, a split into 16 channels, runs with that many channels only; all others
    may be cut all the same.

    Args:
        view: what was traced.
        arch: where it came from.
        graph: of it.
        choices: of the plan that could not be proven.
        say: called with a line for people, every ten seconds.
    """
    reasons: dict[int, str] = {}
    pace = Pace()

    def fails(some: Sequence[int]) -> bool:
        if pace.due():
            say(f"the plan could not be proven; groups found that have to stay whole: {len(reasons)}")
        mine = {index: choices[index] for index in some}
        plan = PrunePlan(arch=arch.name, steps=(cut(graph, mine, ()),))
        try:
            proof_of(view, plan, arch.example(), graph, mine)
        except OracleError as error:
            if len(some) == 1:
                reasons[some[0]] = f"cut alone, {foreign(error.message)[:_WORDS]}"
            return True
        return False

    _search(fails, sorted(choices))
    return reasons


def _search(fails: Callable[[Sequence[int]], bool], groups: Sequence[int]) -> None:
    """Try groups, and halves of those that fail, down to single ones."""
    if groups and fails(groups) and len(groups) > 1:
        middle = len(groups) // 2
        _search(fails, groups[:middle])
        _search(fails, groups[middle:])


def frozen(graph: ChannelGraph, reasons: Mapping[int, str]) -> ChannelGraph:
    """Return a graph with some groups frozen."""
    groups = list(graph.groups)
    for index, reason in reasons.items():
        groups[index] = replace(groups[index], frozen=reason)
    return replace(graph, groups=tuple(groups))


def left_whole(graph: ChannelGraph, whole: Sequence[int]) -> tuple[str, ...]:
    """Return in words which groups were left whole, and what happens to the first of them when it is cut."""
    if not whole:
        return ()
    names = [graph.groups[index].name for index in whole]
    shown = ", ".join(names[:_NAMES]) + (f" and {len(names) - _NAMES} more" if len(names) > _NAMES else "")
    return (f"left whole, since no cut of them could be proven: {shown} ({graph.groups[whole[0]].frozen})",)
