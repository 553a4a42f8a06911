"""Two profiles side by side, module by module; and one profile by stage."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from bench.profile.nodes import Node
from bench.profile.run import Profile
from bench.stages import OTHER, stage_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """What one module took before and after.

    Attributes:
        module: its path; ``""`` for nodes without one, which are paired by their kind.
        kind: of its largest node, before if there is one.
        before_ms: in the first model, 0 where it has no such module.
        after_ms: in the second.
    """

    module: str
    kind: str
    before_ms: float
    after_ms: float

    @property
    def saved_ms(self) -> float:
        """What the second model takes less; negative where more."""
        return self.before_ms - self.after_ms


def paired(before: Profile, after: Profile) -> tuple[Pair, ...]:
    """Return the modules of two models, most saved first and what takes longer than before last."""
    sides = [_grouped(side.nodes) for side in (before, after)]
    pairs = []
    for key in dict.fromkeys((*sides[0], *sides[1])):
        first, second = (side.get(key, []) for side in sides)
        largest = max(first or second, key=lambda node: node.ms)
        ms = [sum(node.ms for node in nodes) for nodes in (first, second)]
        pairs.append(Pair(module=key[0], kind=largest.kind, before_ms=ms[0], after_ms=ms[1]))
    return tuple(sorted(pairs, key=lambda pair: -pair.saved_ms))


def by_stage(nodes: Sequence[Node]) -> dict[str, float]:
    """Return stage -> milliseconds, the longest first.

    The stages of a detector are those of `bench.stages`; elsewhere the first part of a module's path is one.
    """
    spent: defaultdict[str, float] = defaultdict(float)
    for node in nodes:
        spent[_stage(node.module)] += node.ms
    return dict(sorted(spent.items(), key=lambda item: -item[1]))


def _stage(module: str) -> str:
    found = stage_of((module,))
    return found if found != OTHER else module.partition(".")[0] or OTHER


def _grouped(nodes: Sequence[Node]) -> dict[tuple[str, str], list[Node]]:
    found: defaultdict[tuple[str, str], list[Node]] = defaultdict(list)
    for node in nodes:
        found[node.module, "" if node.module else node.kind].append(node)
    return dict(found)
