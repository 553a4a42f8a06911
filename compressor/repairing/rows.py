"""What a layer reads and makes, as rows of a least squares problem."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from compressor.repairing.watching import Layer


def groups_of(layer: Layer) -> int:
    """Return how many problems of its own a layer consists of."""
    return 1 if isinstance(layer, nn.Linear) else layer.groups


def columns_of(layer: Layer) -> int:
    """Return the weights of one output."""
    return layer.weight[0].numel()


def inputs_at(layer: Layer, x: Tensor, positions: Tensor) -> Tensor:
    """Return what a layer reads at some positions of every image, (groups, rows, columns).

    Args:
        layer: convolution or linear.
        x: its input.
        positions: indices into one image's output positions, the same for all images of the batch.
    """
    if isinstance(layer, nn.Linear):
        return x.reshape(len(x), -1, x.shape[-1])[:, positions].reshape(1, -1, x.shape[-1])
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    padded = F.pad(x, layer._reversed_padding_repeated_twice, mode=mode)
    kernel, stride, dilation = layer.kernel_size, layer.stride, layer.dilation
    if len(kernel) == 1:
        padded, kernel, stride, dilation = padded[:, :, None], (1, *kernel), (1, *stride), (1, *dilation)
    return _patches(padded, (kernel, stride, dilation), positions, layer.groups)


def _patches(padded: Tensor, shape: tuple[Sequence[int], ...], positions: Tensor, groups: int) -> Tensor:
    kernel, stride, dilation = shape
    width = (padded.shape[-1] - dilation[1] * (kernel[1] - 1) - 1) // stride[1] + 1
    down = torch.arange(kernel[0]) * dilation[0] + (positions // width * stride[0])[:, None]
    across = torch.arange(kernel[1]) * dilation[1] + (positions % width * stride[1])[:, None]
    # Gathered with channels last, which are copied in runs: images, positions, kernel, channels.
    found = padded.permute(0, 2, 3, 1).contiguous()[:, down[:, :, None], across[:, None, :]]
    rows = found.permute(0, 1, 4, 2, 3).reshape(len(padded) * len(positions), groups, -1)
    return rows.transpose(0, 1).contiguous()


def outputs_at(layer: Layer, y: Tensor, positions: Tensor) -> Tensor:
    """Return what a layer, or what follows it, makes at the same positions, (rows, outputs)."""
    if isinstance(layer, nn.Linear):
        return y.reshape(len(y), -1, y.shape[-1])[:, positions].reshape(-1, y.shape[-1])
    return y.flatten(2)[:, :, positions].transpose(1, 2).reshape(-1, y.shape[1])


def change_of(layer: Layer, x: Tensor, delta: Tensor, shift: Tensor) -> Tensor:
    """Return what a layer with other weights makes of its input.

    Args:
        layer: gives stride, padding and groups.
        x: its input.
        delta: (outputs, columns).
        shift: (outputs,).
    """
    weight, bias = delta.view_as(layer.weight).to(x.dtype), shift.to(x.dtype)
    if isinstance(layer, nn.Linear):
        return F.linear(x, weight, bias)
    made: Tensor = layer._conv_forward(x, weight, bias)
    return made


def along_channels(layer: Layer, values: Tensor, y: Tensor) -> Tensor:
    """Return one value per channel in a shape that multiplies ``y``."""
    shape = [1] * y.ndim
    shape[-1 if isinstance(layer, nn.Linear) else 1] = -1
    return values.view(shape).to(y.dtype)
