"""What a plan consists of: steps that change a model, one file per kind.

A step is a frozen dataclass of plain data. It can be applied for real (``shrink``) and in simulation, with
every shape unchanged (``mask``): the second is the oracle of the first.
"""

from typing import ClassVar, Protocol, runtime_checkable

from torch import nn

from compressor.base.documents import Json, decode, encode
from compressor.base.errors import ArtifactError, UsageError
from compressor.base.registry import Registry
from compressor.steps.decisions import GroupDecision
from compressor.steps.former import modernised


@runtime_checkable
class Step(Protocol):
    """One change of a model; instances are frozen dataclasses of JSON-able data."""

    kind: ClassVar[str]

    @property
    def decisions(self) -> tuple[GroupDecision, ...]:
        """What was decided for each group, requested and achieved."""

    @property
    def lossless(self) -> bool:
        """Whether the changed model claims to compute what the model did."""

    def check(self, model: nn.Module) -> None:
        """Refuse a model that the step does not fit; the step may come from a file that anybody wrote.

        Raises:
            ArtifactError: naming what does not fit.
        """

    def shrink(self, model: nn.Module) -> nn.Module:
        """Return a changed copy; the argument stays as it is."""

    def mask(self, model: nn.Module) -> nn.Module:
        """Return a copy of the same shapes that computes what ``shrink`` will compute."""


STEPS: Registry[type[Step]] = Registry("plan step", "compressor.steps")


def step_to_json(step: Step) -> Json:
    """Return a step with its kind first."""
    return {"kind": step.kind, **encode(step)}


def step_from_json(data: Json, where: str) -> Step:
    """Rebuild a step.

    Raises:
        ArtifactError: the kind is unknown or its fields do not fit.
    """
    fields = modernised(data)
    kind = str(fields.get("kind", ""))
    fields = {name: value for name, value in fields.items() if name != "kind"}
    try:
        found = STEPS.get(kind)
    except UsageError as error:
        raise ArtifactError(f"{where}: {error.message}", "it needs a newer compress or a plug-in.") from error
    return decode(found, fields, where)
