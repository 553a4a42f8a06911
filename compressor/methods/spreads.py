"""How the inputs of layers vary together: what a least squares fit of their weights would need to know."""

from collections.abc import Iterable
from contextlib import ExitStack
from functools import partial
from typing import TypeGuard

import torch
from torch import Tensor, nn

from compressor.base.bounds import require_memory
from compressor.base.errors import NotFiniteError, UsageError
from compressor.base.modes import evaluation
from compressor.channels.graph import ChannelGraph, module_of
from compressor.criteria.view import Spread
from compressor.methods.collect import sources_of
from compressor.methods.reading import consumers
from compressor.repairing.rows import columns_of, groups_of, inputs_at
from compressor.repairing.watching import Layer, scale_of
from compressor.tasks.task import Batch, Task

_Reads = Layer | nn.ConvTranspose2d

_POSITIONS = 64
"""Of each image that a layer's rows are taken from: neighbours say much the same."""
_ROWS_AT_ONCE = 4096


def spreads_read(
    model: nn.Module, graph: ChannelGraph, batches: Iterable[Batch] | None, task: Task
) -> dict[str, Spread]:
    """Return name of a layer's weight -> spread of its inputs, of layers that read units of free groups.

    Args:
        model: left as it is.
        graph: of the model.
        batches: of the training split; None if no data was given.
        task: how the model is run on them.

    Raises:
        UsageError: there are no images, or the sums would not fit into memory.
        NotFiniteError: a layer reads NaN or infinity.
    """
    if batches is None:
        raise UsageError(
            "what layers read is only known of images, and there is no data",
            "give training images with --data, for instance --data digits.",
        )
    sums: dict[str, _Sums] = {}
    norms: dict[str, nn.Module] = {}
    with evaluation(model), torch.no_grad(), ExitStack() as stack:
        for number, batch in enumerate(batches):
            if number == 0:
                one = task.data.pieces(batch, task.data.size(batch))[0]
                found = sources_of(model, partial(task.scoring.run, model, one))
                norms = {name: source for name, (layer, source) in found.items() if source is not layer}
                sums = _summing(model, graph, stack)
            task.scoring.run(model, batch)
    seen = {name: one_sum.spread(norms.get(name)) for name, one_sum in sums.items() if one_sum.rows}
    if not seen:
        raise UsageError(
            "no inputs of layers were collected", "give at least one image and a model with convolutions."
        )
    return seen


def _summing(model: nn.Module, graph: ChannelGraph, stack: ExitStack) -> dict[str, "_Sums"]:
    """Hook the layers that read units of free groups."""
    layers, names = dict(model.named_modules()), {entry.tensor for entry, _ in consumers(graph)}
    readers = {name: layers.get(module_of(name)) for name in sorted(names) if name.endswith("weight")}
    found = {name: _Sums(name, layer) for name, layer in readers.items() if _known(layer)}
    require_memory(
        2 * sum(one.bytes for one in found.values()),
        "the Gram matrices of all layers",
        "leave the widest groups whole with --keep, or take a criterion that needs none.",
    )
    for one in found.values():
        stack.enter_context(one.layer.register_forward_hook(one))
    return found


def _known(layer: nn.Module | None) -> TypeGuard[_Reads]:
    return isinstance(layer, Layer) or (isinstance(layer, nn.ConvTranspose2d) and layer.groups == 1)


class _Sums:
    """Sums over rows that one layer has read."""

    def __init__(self, name: str, layer: _Reads) -> None:
        self.name, self.layer = name, layer
        self.rows = 0
        self._gram: Tensor | None = None
        self._total: Tensor | None = None

    @property
    def bytes(self) -> int:
        """Of the Gram matrix."""
        if isinstance(self.layer, nn.ConvTranspose2d):
            return 8 * self.layer.in_channels**2
        return 8 * groups_of(self.layer) * columns_of(self.layer) ** 2

    def __call__(self, layer: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
        """Forward hook."""
        x = args[0]
        if not x.numel():  # a detector without proposals, say
            return
        draw = torch.Generator().manual_seed(self.rows)
        for rows in self._rows(x, output, draw).split(_ROWS_AT_ONCE, dim=1):
            self._add(rows)

    def _rows(self, x: Tensor, output: Tensor, draw: torch.Generator) -> Tensor:
        """Return what is read at a few positions, (groups, rows, columns)."""
        if isinstance(self.layer, nn.ConvTranspose2d):
            positions = torch.randperm(x[0, 0].numel(), generator=draw)[:_POSITIONS]
            return x.flatten(2)[:, :, positions].transpose(1, 2).reshape(1, -1, x.shape[1])
        there = output.numel() // (len(x) * len(self.layer.weight))
        positions = torch.randperm(there, generator=draw)[:_POSITIONS]
        return inputs_at(self.layer, x, positions.to(x.device))

    def _add(self, rows: Tensor) -> None:
        gram, total = torch.bmm(rows.transpose(1, 2), rows).double(), rows.sum(1, dtype=torch.float64)
        self._gram = gram if self._gram is None else self._gram.add_(gram)
        self._total = total if self._total is None else self._total.add_(total)
        self.rows += rows.shape[1]

    def spread(self, norm: nn.Module | None) -> Spread:
        """Return what was seen: around the mean where a norm or a bias can take a constant.

        Raises:
            NotFiniteError: it is NaN or infinite.
        """
        assert self._gram is not None
        assert self._total is not None
        gram, mean = self._gram / self.rows, self._total / self.rows
        constant = norm is not None or self.layer.bias is not None
        if constant:
            gram = gram - mean[:, :, None] * mean[:, None, :]
        if not bool(torch.isfinite(gram).all()):
            raise NotFiniteError(
                f"the input of {self.name} is NaN or infinite on the calibration images",
                "check the weights with compress eval, and the images.",
            )
        transposed = isinstance(self.layer, nn.ConvTranspose2d)
        outputs = self.layer.weight.shape[1 if transposed else 0]
        scale = torch.ones(outputs) if norm is None else scale_of(norm).reshape(outputs)
        return Spread(gram=gram, scale=scale.double(), mean=mean if constant else None)
