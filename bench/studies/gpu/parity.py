"""Does a form compute on the device, in a precision, what it computes on the CPU in fp32?"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn

from bench.studies.gpu.calls import Run, inputs_of, mixed_precision
from bench.studies.gpu.cells import Cell
from bench.studies.gpu.subjects import PLANNED_AT, architecture
from compressor.base.outputs import tensors_of
from compressor.steps.shrink import relative_difference
from compressor.tasks.parity import PARITY_LIMITS

LIMITS: Final = {**PARITY_LIMITS, "tf32": PARITY_LIMITS["fp16"]}
"""TF32 keeps as many bits of a factor as half precision does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parity:
    """How far two computations are apart.

    Attributes:
        relative_difference: max |a - b| / max |a| over outputs; None where outputs hold NaN or infinity.
        limit: what may be.
    """

    relative_difference: float | None
    limit: float

    @property
    def passed(self) -> bool:
        """Whether they agree."""
        return self.relative_difference is not None and self.relative_difference <= self.limit


def parity_of(module: nn.Module, moved: nn.Module, run: Run, cell: Cell, device: torch.device) -> Parity:
    """Compare what ``run`` returns with the CPU; of a detector its heads' raw outputs on fixed boxes.

    What a detector finds is no measure: on random weights, scores tie, and the order of boxes tips.

    Args:
        module: on the CPU, in evaluation mode.
        moved: the same on the device.
        run: a forward pass of it on the inputs of the cell.
        cell: the setting.
        device: where it ran.
    """
    if architecture(cell.model).task == "detection":
        expected, found = (_heads(one, cell, where) for one, where in ((module, "cpu"), (moved, device)))
    else:
        with torch.no_grad():
            expected = _tensors(module(*inputs_of(cell, torch.device("cpu"))))
        found = _tensors(run())
    return judged(expected, found, cell)


def judged(expected: Sequence[Tensor], found: Sequence[Tensor], cell: Cell) -> Parity:
    """Return how far outputs are apart, with the limit of the precision."""
    difference = relative_difference(expected, found)
    finite = difference if difference < float("inf") else None
    return Parity(relative_difference=finite, limit=LIMITS[cell.precision])


def _heads(module: nn.Module, cell: Cell, device: torch.device | str) -> list[Tensor]:
    arch = architecture(cell.model).with_options(shapes=(PLANNED_AT,))
    where = torch.device(device)
    mixed = mixed_precision(cell, where) if where.type != "cpu" else torch.no_grad
    inputs = [x.to(where) for x in arch.example()]
    with torch.no_grad(), mixed(), where:  # the view makes its boxes where tensors are made by default
        return _tensors(arch.view(module)(*inputs))


def _tensors(outputs: object) -> list[Tensor]:
    return [tensor.float().cpu() for tensor in tensors_of(outputs)]
