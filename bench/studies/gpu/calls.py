"""Calls of PyTorch that are timed by two clocks: the GPU's own, and the wall's, which includes launches."""

import contextlib
import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN

from bench.measure import Measurement, MeasureSettings
from bench.studies.common.lively import structured_images
from bench.studies.gpu.cells import Cell
from bench.studies.gpu.subjects import architecture

Run = Callable[[], object]


class Timed:
    """A call that returns when the result is there, and keeps the GPU's own milliseconds of it."""

    def __init__(self, run: Run, device: torch.device) -> None:
        self._run = run
        self._on_gpu = device.type == "cuda"
        self.gpu_ms: list[float] = []

    def __call__(self) -> None:
        """Run once."""
        if not self._on_gpu:
            self._run()
            return
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        self._run()
        end.record()
        torch.cuda.synchronize()
        self.gpu_ms.append(start.elapsed_time(end))

    def gpu_blocks_ms(
        self, measured: Measurement, settings: MeasureSettings
    ) -> tuple[tuple[float, ...], ...]:
        """Return the GPU's times of the calls that are in ``measured``, nothing on a CPU.

        The measurement warms the model up, and calls it in blocks that begin with calls that do not count.
        """
        length = settings.discarded_runs + len(measured.blocks_ms[0])
        taken = self.gpu_ms[len(self.gpu_ms) - length * len(measured.blocks_ms) :] if self.gpu_ms else []
        blocks = (taken[start : start + length] for start in range(0, len(taken), length))
        return tuple(tuple(block[settings.discarded_runs :]) for block in blocks)


def eager(module: nn.Module, cell: Cell, device: torch.device) -> Run:
    """Return a forward pass."""
    inputs, mixed = inputs_of(cell, device), mixed_precision(cell, device)

    def run() -> object:
        with torch.no_grad(), mixed():
            return module(*inputs)

    return run


def compiled(module: nn.Module, cell: Cell, device: torch.device) -> Run:
    """Return a forward pass through `torch.compile`; of a detector the backbone alone is compiled."""
    if isinstance(module, GeneralizedRCNN):
        part: Any = torch.compile(module.backbone)
        module.backbone = part
        return eager(module, cell, device)
    whole: Any = torch.compile(module)
    return eager(whole, cell, device)


def graph(module: nn.Module, cell: Cell, device: torch.device) -> Run:
    """Return the replay of a captured forward pass: all launches at once."""
    once = eager(module, cell, device)
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            once()
    torch.cuda.current_stream().wait_stream(side)
    captured = torch.cuda.CUDAGraph()
    with torch.cuda.graph(captured):
        output = once()

    def run() -> object:
        captured.replay()
        return output

    return run


def training(module: nn.Module, cell: Cell, device: torch.device) -> Run:
    """Return a step: forward, loss, backward, SGD; with a scaled loss in mixed precision."""
    module.train()
    inputs, mixed = inputs_of(cell, device), mixed_precision(cell, device)
    optimizer = torch.optim.SGD(module.parameters(), lr=1e-6, momentum=0.9)
    scaler = torch.amp.GradScaler(device.type, enabled=cell.precision == "fp16")
    loss_of = _detection_loss if isinstance(module, GeneralizedRCNN) else _classification_loss

    def run() -> object:
        optimizer.zero_grad()
        with mixed():
            loss = loss_of(module, inputs)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        return loss

    return run


ENGINES = {"eager": eager, "compiled": compiled, "graph": graph}
"""Engines that run a PyTorch module; files have others."""


def placed(module: nn.Module, cell: Cell, device: torch.device) -> nn.Module:
    """Return a copy on the device; tensor cores want channels last."""
    copied = copy.deepcopy(module).to(device)
    if cell.precision == "fp32":
        return copied
    return copied.to(memory_format=torch.channels_last)


def inputs_of(cell: Cell, device: torch.device) -> Sequence[Any]:
    """Return what the model is called with: a batch, or a detector's list of photographs."""
    arch = architecture(cell.model)
    if arch.task == "detection":
        return ([image.to(device) for image in structured_images(cell.batch, *arch.input.image[1:])],)
    layout = torch.contiguous_format if cell.precision == "fp32" else torch.channels_last
    return [x.to(device, memory_format=layout) for x in arch.example(cell.batch)]


def mixed_precision(
    cell: Cell, device: torch.device
) -> Callable[[], contextlib.AbstractContextManager[object]]:
    """Return what a forward pass runs under; weights are cast anew in every call, as captures need it."""
    if cell.precision != "fp16":
        return contextlib.nullcontext
    return lambda: torch.autocast(device.type, dtype=torch.float16, cache_enabled=cell.work == "training")


@contextlib.contextmanager
def rounding_of(precision: str) -> Iterator[None]:
    """Let fp32 products be rounded to TF32 in ``tf32`` alone; PyTorch's defaults differ by operation."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    allowed = precision == "tf32"
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = allowed
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


def _classification_loss(module: nn.Module, inputs: Sequence[Tensor]) -> Tensor:
    logits = module(*inputs)
    return F.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long, device=logits.device))


def _detection_loss(module: nn.Module, inputs: Sequence[list[Tensor]]) -> Tensor:
    (images,) = inputs
    corners = torch.tensor([[40.0 * n, 30.0 * n, 40.0 * n + 120, 30.0 * n + 90] for n in range(1, 6)])
    target = {
        "boxes": corners.to(images[0].device),
        "labels": torch.ones(5, dtype=torch.long).to(images[0].device),
    }
    losses: dict[str, Tensor] = module(images, [target] * len(images))
    return torch.stack([*losses.values()]).sum()
