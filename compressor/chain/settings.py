"""What a pipeline file may hold: one dataclass per table."""

from dataclasses import dataclass, field
from typing import Literal

from bench.layers.aim import Aim
from compressor.base.errors import UsageError
from compressor.rates import Budget, PruneRequest, Published, Scope, Share, Target, budget_of
from compressor.repairing.settings import RepairSettings
from compressor.tasks.recipe import Recipe

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

    Exactly one of ``rates``, ``rate``, ``macs``, ``params``, ``budget`` and ``latency`` is given; fields that
    are not described here mean what they mean in ``PruneRequest``.

    Attributes:
        method: name of the method, or of the criterion that ranks.
        options: its options.
        rates: a published string, read by ``layout``.
        rate: share of every group that is removed.
        macs: what may remain of the multiply-adds, a share up to 1 or an amount above it.
        params: the same of the parameters.
        budget: the same of any other price, by its name.
        latency: what may remain of the measured time of a call, and where it is measured; it has a scope and
            a rounding of its own.
        keep: glob patterns of modules that stay whole.
        rate_of: glob pattern of modules -> a rate of their own.
        parts: names of the only parts that are pruned, ``backbone`` of a detector; none means everywhere.
        shots: cut in this many steps, ranking again from the trained weights before each.
        calibration_epochs: epochs of training between the shots, over all of them.
        turns: glob patterns of modules: those of the first are cut first, then those of the second, and with
            those of the last all that no pattern names; ``[between]`` trains after each.
        undo: where the method merges channels, and the model scores better on the validation split if it
            drops them, they are dropped.
    """

    method: str = "l1"
    options: dict[str, Option] = field(default_factory=dict)
    rates: str | None = None
    rate: float | None = None
    macs: float | None = None
    params: float | None = None
    budget: dict[str, float] | None = None
    latency: Aim | None = None
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
    turns: tuple[str, ...] = ()
    undo: bool = False

    def __post_init__(self) -> None:
        given = [name for name in ("rates", "rate", "latency") if getattr(self, name) is not None]
        given += [budget.price for budget in self._budgets()]
        if len(given) != 1:
            raise UsageError(
                f"how much to remove is not clear: {' and '.join(given) or 'nothing'} given",
                f"give one of {', '.join(_ways())}; as options {', '.join(map(_option, _ways()))}.",
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
        if self.latency and (self.shots > 1 or self.turns):
            raise UsageError(
                "a latency is measured after the whole cut, and shots and turns cut in parts",
                "leave shots and turns out.",
            )
        if self.shots > 1 and self.turns:
            raise UsageError("shots and turns exclude each other", "leave one of them out.")

    def request(self, *, outside: tuple[str, ...] = ()) -> PruneRequest:
        """Return the request for the whole cut; modules that match ``outside`` stay whole too."""
        return PruneRequest(
            target=self._target(),
            scope=self.latency.scope if self.latency else self.scope,
            round_to=self.round_to,
            protect=(*self.keep, *outside),
            own_rates=tuple(self.rate_of.items()),
            max_rate=self.max_rate,
            allow_inexact=self.allow_inexact,
        )

    def describe(self) -> str:
        """Return method and request in words."""
        options = [f"{key}={_word(value)}" for key, value in self.options.items()]
        shots = [f"{self.shots} shots"] if self.shots > 1 else []
        turns = [f"{len(self.turns)} turns"] if self.turns else []
        asked = self.latency.describe() if self.latency else self.request().describe()
        return ", ".join([self.method, *options, asked, *shots, *turns])

    def _target(self) -> Target:
        if self.rates is not None:
            return Published(self.rates, self.layout)
        if self.latency is not None:
            return Budget("latency", fraction=self.latency.share or 1.0)
        return Share(self.rate) if self.rate is not None else self._budgets()[0]

    def _budgets(self) -> list[Budget]:
        prices = [("macs", self.macs), ("params", self.params), *(self.budget or {}).items()]
        return [budget_of(price, number) for price, number in prices if number is not None]


def _ways() -> list[str]:
    from compressor.rates.prices import PRICES

    fields = PruneTable.__dataclass_fields__
    return [
        "rates",
        "rate",
        "latency",
        *(price if price in fields else f"budget.{price}" for price in PRICES),
    ]


def _option(way: str) -> str:
    return f"--{way}".replace("budget.", "budget ")


def _word(value: Option) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairTable:
    """``[repair]``: least squares between cut and fine-tuning; without the table there is none.

    Attributes:
        images: most calibration images.
        strength: of the ridge towards the weights that the cut left; None chooses one per layer.
        norms: ``fitted`` or ``estimated``, as in ``RepairSettings``.
    """

    images: int = 512
    strength: float | None = None
    norms: Literal["fitted", "estimated"] = "fitted"

    def __post_init__(self) -> None:
        self.settings(0)

    def settings(self, seed: int) -> RepairSettings:
        """Return the settings of a repair."""
        return RepairSettings(images=self.images, strength=self.strength, norms=self.norms, seed=seed)


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
        between: how it is trained after each turn; no epochs means not at all.
        training: how it is trained; no epochs means not at all.
        export: which files are made.
        expect: what the pruned model must cost.
        repair: how the pruned model is repaired; None leaves it as it is.
    """

    model: ModelTable
    prune: PruneTable
    data: DataTable | None = None
    between: Recipe = field(default_factory=lambda: Recipe(epochs=0))
    training: Recipe = field(default_factory=Recipe)
    export: ExportTable = field(default_factory=ExportTable)
    expect: ExpectTable = field(default_factory=ExpectTable)
    repair: RepairTable | None = None
