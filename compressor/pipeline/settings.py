"""What a pipeline file may hold: one dataclass per table."""

from dataclasses import dataclass, field

from compressor.errors import UsageError
from compressor.tasks.recipe import Recipe
from compressor.types import RateSpec, Scope, Target

Option = bool | int | float | str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTable:
    """``[model]``: what is compressed.

    Attributes:
        arch: name of the architecture, or ``package.module:factory``.
        weights: checkpoint, relative to where the command runs; None starts from random weights.
        classes: number of classes, None for the architecture's usual one.
        input: shape of the input, (channels, height, width); empty for the architecture's usual one.
    """

    arch: str
    weights: str | None = None
    classes: int | None = None
    input: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if any(size < 1 for size in self.input):
            raise UsageError(
                f"input is {list(self.input)}", "write channels, height and width: [3, 224, 224]."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneTable:
    """``[prune]``: how much is removed, and by which criterion.

    Exactly one of ``rates``, ``rate``, ``macs`` and ``params`` is given; they and the fields that are not
    described here mean what they mean in ``RateSpec``.

    Attributes:
        method: name of the criterion.
        options: options of the criterion.
        keep: glob patterns of modules that stay whole.
        rate_of: glob pattern of modules -> a rate of their own.
        parts: names of the only parts that are pruned, ``backbone`` of a detector; none means everywhere.
        shots: cut in this many steps, ranking again from the trained weights before each.
        calibration_epochs: epochs of training between the shots, over all of them.
    """

    method: str = "l1"
    options: dict[str, Option] = field(default_factory=dict)
    rates: str | None = None
    rate: float | None = None
    macs: float | None = None
    params: float | None = None
    layout: str | None = None
    scope: Scope = "uniform"
    round_to: int = 1
    keep: tuple[str, ...] = ()
    rate_of: dict[str, float] = field(default_factory=dict)
    parts: tuple[str, ...] = ()
    max_rate: float = 0.9
    allow_inexact: bool = False
    shots: int = 1
    calibration_epochs: int = 0

    def __post_init__(self) -> None:
        given = [name for name in _TARGETS if getattr(self, name) is not None]
        if len(given) != 1:
            raise UsageError(
                f"how much to remove is not clear: {' and '.join(given) or 'nothing'} given",
                f"give one of {', '.join(_TARGETS)}.",
            )
        if self.layout is not None and self.rates is None:
            raise UsageError("layout reads rates, and there are none", "give rates, or leave layout out.")
        if self.shots < 1:
            raise UsageError(f"shots is {self.shots}", "give a number from 1 up.")
        if (self.shots > 1) != (self.calibration_epochs > 0):
            raise UsageError(
                f"shots is {self.shots}, but calibration_epochs is {self.calibration_epochs}",
                "shots above 1 and epochs between them go together, for instance 10 and 100.",
            )


_TARGETS: tuple[Target, ...] = ("rates", "rate", "macs", "params")


@dataclass(frozen=True, slots=True, kw_only=True)
class DataTable:
    """``[data]``: what the model is trained and scored on.

    Attributes:
        spec: as for ``--data``, for instance ``cifar10:data``.
    """

    spec: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportTable:
    """``[export]``: which files are made of the result.

    Attributes:
        onnx: write ``model.onnx`` and compare it with PyTorch.
    """

    onnx: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectTable:
    """``[expect]``: what the pruned model must cost, checked before anything is written.

    Attributes:
        params: parameters.
        macs: multiply-adds of convolutions and linear layers for one image.
    """

    params: int | None = None
    macs: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """One pipeline file.

    Attributes:
        model: what is compressed.
        prune: how.
        data: on what it is trained and scored; None must be given on the command line.
        training: how it is trained; no epochs means not at all.
        export: which files are made.
        expect: what the pruned model must cost.
    """

    model: ModelTable
    prune: PruneTable
    data: DataTable | None = None
    training: Recipe = field(default_factory=Recipe)
    export: ExportTable = field(default_factory=ExportTable)
    expect: ExpectTable = field(default_factory=ExpectTable)


def rate_spec(table: PruneTable, *, outside: tuple[str, ...] = ()) -> RateSpec:
    """Return the request for the whole cut; modules that match ``outside`` stay whole too."""
    target = next(name for name in _TARGETS if getattr(table, name) is not None)
    return RateSpec(
        target=target,
        rates=table.rates or "",
        layout=table.layout,
        fraction=0.0 if target == "rates" else getattr(table, target),
        scope=table.scope,
        round_to=table.round_to,
        protect=(*table.keep, *outside),
        own_rates=tuple(table.rate_of.items()),
        max_rate=table.max_rate,
        allow_inexact=table.allow_inexact,
    )
