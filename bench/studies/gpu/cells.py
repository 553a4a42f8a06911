"""What is measured, in order of value: a machine lent for minutes may be gone before the last cell."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

Work = Literal["inference", "training"]

CLASSIFIERS: Final = ("resnet50", "mobilenet_v2")
FASTER: Final = "fasterrcnn_resnet50_fpn"
DETECTORS: Final = (FASTER, "maskrcnn_resnet50_fpn", "keypointrcnn_resnet50_fpn")
TINY: Final = "resnet20_cifar"

EXPECTED_S: Final = {
    "eager": 25.0, "graph": 15.0, "compiled": 75.0, "onnxruntime": 60.0, "tensorrt": 90.0,
}  # fmt: skip
"""How long a cell of an engine may take as long as none has been measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One setting, in which a model and its pruned forms are measured against each other.

    Attributes:
        model: architecture.
        work: a forward pass, or a training step.
        engine: what runs it, a key of `EXPECTED_S`.
        precision: ``fp32`` (TF32 off), ``tf32``, or ``fp16``: automatic mixed precision of PyTorch, or a
            converted file.
        batch: images per call.
    """

    model: str
    work: Work = "inference"
    engine: str = "eager"
    precision: str = "fp32"
    batch: int = 1

    @property
    def key(self) -> str:
        """Its name in results."""
        return f"{self.model}, {self.work}, {self.engine}, {self.precision}, batch {self.batch}"


def tiny_cells() -> list[Cell]:
    """Return the small form, which any CPU measures in seconds."""
    return [Cell(model=TINY), Cell(model=TINY, batch=2), Cell(model=TINY, work="training", batch=2)]


def all_cells() -> list[Cell]:
    """Return all cells, the most telling first."""
    return [
        *_each("resnet50"),
        *_each(FASTER, batches=(1,)),
        *_each("mobilenet_v2"),
        *_each("resnet50", engine="graph", batches=(1,)),
        *(cell for name in DETECTORS[1:] for cell in _each(name, batches=(1,))),
        *_each("resnet50", work="training", batches=(8,)),
        *_each("mobilenet_v2", engine="graph", batches=(1,)),
        *_each("resnet50", engine="compiled"),
        *(cell for name in DETECTORS for cell in _each(name, batches=(8,))),
        *_each("resnet50", engine="tensorrt"),
        *_each("resnet50", engine="onnxruntime"),
        *_each(FASTER, work="training", batches=(2,)),
        *_each("mobilenet_v2", engine="compiled"),
        *_each("mobilenet_v2", work="training", batches=(8,)),
        *_each("resnet50", precisions=("tf32",)),
        *(cell for name in DETECTORS for cell in _each(name, engine="compiled", batches=(1,))),
    ]


def _each(
    model: str,
    *,
    work: Work = "inference",
    engine: str = "eager",
    precisions: Sequence[str] = ("fp16", "fp32"),
    batches: Sequence[int] = (1, 8),
) -> Iterator[Cell]:
    for precision in precisions:
        for batch in batches:
            yield Cell(model=model, work=work, engine=engine, precision=precision, batch=batch)
