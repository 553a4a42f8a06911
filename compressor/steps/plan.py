"""Plans: what will be done to a model, as data. Making one touches no model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from compressor.base.documents import Json, check_schema, decode, digest
from compressor.base.errors import ArtifactError, UsageError
from compressor.channels.components import Ids
from compressor.channels.graph import AxisMap, ChannelGraph
from compressor.steps import Step, step_from_json, step_to_json
from compressor.steps.channels import DROPPED, AxisChange, ChangeChannels
from compressor.steps.choice import Choice
from compressor.steps.decisions import GroupDecision

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PrunePlan:
    """An ordered list of steps for one architecture.

    Attributes:
        arch: name of the architecture that the plan fits.
        steps: applied first to last.
        notes: what a reader should know (units that change meaning, modules left alone).
    """

    arch: str
    steps: tuple[Step, ...]
    notes: tuple[str, ...] = ()

    @property
    def decisions(self) -> tuple[GroupDecision, ...]:
        """Decisions of all steps, in order."""
        return tuple(decision for step in self.steps for decision in step.decisions)

    def after(self, earlier: "PrunePlan") -> "PrunePlan":
        """Return what was added to an earlier plan, which this one begins with; see `joined`."""
        steps, notes = self.steps[len(earlier.steps) :], self.notes[len(earlier.notes) :]
        return replace(self, steps=steps, notes=notes)

    def digest(self) -> str:
        """Return the sha256 of the plan."""
        return digest(plan_to_json(self))


def joined(first: PrunePlan, second: PrunePlan) -> PrunePlan:
    """Return the plan that does one after the other."""
    return replace(second, steps=(*first.steps, *second.steps), notes=(*first.notes, *second.notes))


def plan_to_json(plan: PrunePlan) -> Json:
    """Return a plan as JSON."""
    return {
        "schema_version": SCHEMA_VERSION,
        "arch": plan.arch,
        "notes": list(plan.notes),
        "steps": [step_to_json(step) for step in plan.steps],
    }


def plan_from_json(data: Json, where: str = "plan") -> PrunePlan:
    """Rebuild a plan.

    Raises:
        ArtifactError: another schema version, or fields that do not fit.
    """
    check_schema(data, SCHEMA_VERSION, where)
    head = decode(_Head, {k: v for k, v in data.items() if k not in ("schema_version", "steps")}, where)
    given = data.get("steps", [])
    if not isinstance(given, list) or not all(isinstance(step, dict) for step in given):
        raise ArtifactError(f"{where}: steps is no list of steps", "write the plan again.")
    steps = tuple(step_from_json(step, f"{where}: step {i}") for i, step in enumerate(given))
    return PrunePlan(arch=head.arch, steps=steps, notes=head.notes)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Head:
    arch: str
    notes: tuple[str, ...]


def removal(
    graph: ChannelGraph, keep: Mapping[int, Ids], decisions: tuple[GroupDecision, ...]
) -> ChangeChannels:
    """Return the step that leaves the listed units of some groups and all units of the others.

    Args:
        graph: the traced model.
        keep: group index -> surviving unit indices.
        decisions: one per group of the graph, for the record.

    Raises:
        UsageError: a group would be left empty.
    """
    for index, units in keep.items():
        if len(units) == 0:
            raise UsageError(f"{graph.groups[index].name} would lose all channels", "lower its rate.")
    return cut(graph, {index: Choice(np.asarray(units)) for index, units in keep.items()}, decisions)


def cut(
    graph: ChannelGraph, choices: Mapping[int, Choice], decisions: tuple[GroupDecision, ...]
) -> ChangeChannels:
    """Return the step that carries out what was chosen in some groups, and leaves the others whole.

    Args:
        graph: the traced model.
        choices: group index -> what survives there, and what the others merge into.
        decisions: one per group of the graph, for the record.
    """
    sizes = np.array([g.size for g in graph.groups])
    offset = np.cumsum(sizes) - sizes
    stands = _standing(sizes, offset, choices)
    alive = stands == np.arange(len(stands))
    takes: dict[tuple[int, ...], int] = {}
    intos: dict[tuple[int, ...], int] = {}
    changes = []
    for entry in graph.axes:
        units = offset[entry.group] + entry.unit
        if not alive[units].all() and not entry.tensor.startswith("input "):
            change = axis_change(entry, np.flatnonzero(alive[units]).tolist(), takes)
            if entry.role == "consumer" and (stands[units[~alive[units]]] != DROPPED).any():
                into = _landing(units, stands, alive)
                change = replace(change, into=intos.setdefault(into, len(intos)))
            changes.append(change)
    return ChangeChannels(decisions=decisions, takes=tuple(takes), changes=tuple(changes), intos=tuple(intos))


def _standing(sizes: Ids, offset: Ids, choices: Mapping[int, Choice]) -> Ids:
    """Return the unit that stands for each unit of all groups, in one row; itself where it survives."""
    stands: Ids = np.arange(int(sizes.sum()))
    for index, choice in choices.items():
        own = np.full(sizes[index], DROPPED)
        own[choice.keep] = choice.keep
        chosen = own if choice.into is None else choice.into
        stands[offset[index] : offset[index] + sizes[index]] = np.where(
            chosen == DROPPED, DROPPED, chosen + offset[index]
        )
    return stands


def _landing(units: Ids, stands: Ids, alive: Ids) -> tuple[int, ...]:
    """Return the new position that each old one of an axis adds to; units of several go one by one.

    Args:
        units: unit of each position.
        stands: unit that stands for each unit.
        alive: whether each unit survives.
    """
    new = np.cumsum(alive[units]) - 1
    homes: dict[int, list[int]] = {}
    for position in np.flatnonzero(alive[units]).tolist():
        homes.setdefault(int(units[position]), []).append(int(new[position]))
    met: dict[int, int] = {}
    into = []
    for unit in units.tolist():
        rank = met[unit] = met.get(unit, -1) + 1
        home = int(stands[unit])
        into.append(DROPPED if home == DROPPED else homes[home][rank])
    return tuple(into)


def axis_change(entry: AxisMap, take: Sequence[int], takes: dict[tuple[int, ...], int]) -> AxisChange:
    """Return how an axis takes its new positions; a list that ``takes`` lacks is added to it."""
    return AxisChange(
        tensor=entry.tensor,
        axis=entry.axis,
        size=entry.size,
        take=takes.setdefault(tuple(take), len(takes)),
        reads=entry.role == "consumer",
    )
