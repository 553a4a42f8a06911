"""What a model looks like from outside: names of its inputs and outputs, example inputs.

One rule of names holds for ONNX files and for PyTorch sessions, so that the two can be compared by name:
a single input is ``input``, several are ``input_0``, ``input_1`` ...; outputs likewise, except that a model
returning a dictionary (torchvision's segmentation models) keeps its keys.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from compressor.errors import UsageError
from compressor.types import InputSpec
from export.session import Array

_SQUARE: Final = 24  # pixels


def input_names(inputs: InputSpec) -> tuple[str, ...]:
    """Return one name per positional input."""
    return _numbered("input", len(inputs.shapes))


def named_outputs(output: object) -> dict[str, Tensor]:
    """Return what ``forward`` returned as a dictionary of tensors, in its own order.

    Raises:
        UsageError: it is neither a tensor, nor a sequence or a dictionary of tensors.
    """
    if isinstance(output, Tensor):
        return {"output": output}
    if isinstance(output, Mapping) and _all_tensors(list(output.values())):
        return {str(key): value for key, value in output.items()}
    if isinstance(output, Sequence) and not isinstance(output, str) and _all_tensors(output):
        return dict(zip(_numbered("output", len(output)), output, strict=True))
    raise UsageError(
        f"the model returns {_describe(output)}",
        "wrap it in a module that returns a tensor, a tuple of tensors, or a dictionary of tensors",
    )


def example_arrays(inputs: InputSpec, batch: int, seed: Sequence[int]) -> tuple[Array, ...]:
    """Return float32 arrays (batch, *shape), one per input, the same for the same seed.

    Every sample gets its own brightness and contrast on top of normal noise, as photographs do; pure noise
    of one scale would leave activations at the same few values for every input. Where the input has ranges,
    a sigmoid maps the noise into them.
    """
    generator = np.random.default_rng(list(seed))
    arrays = [_noise(generator, (batch, *shape)) for shape in inputs.shapes]
    if inputs.ranges:
        limits = zip(arrays, inputs.ranges, strict=True)
        arrays = [low + (high - low) / (1 + np.exp(-noise)) for noise, (low, high) in limits]
    return tuple(array.astype(np.float32) for array in arrays)


def _noise(generator: np.random.Generator, shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    per_sample = (shape[0], *(1 for _ in shape[1:]))
    contrast = generator.uniform(0.25, 2.0, per_sample)
    brightness = generator.normal(0.0, 0.5, per_sample)
    noise: npt.NDArray[np.float64] = brightness + contrast * generator.normal(size=shape)
    return noise


def example_tensors(model: nn.Module, inputs: InputSpec, batch: int) -> tuple[Tensor, ...]:
    """Return example inputs (batch, *shape) on the model's device and in its floating-point type."""
    parameter = _sample(model)
    arrays = example_arrays(inputs, batch, seed=(0,))
    return tuple(torch.from_numpy(a).to(parameter.device, parameter.dtype) for a in arrays)


def example_dtype(model: nn.Module) -> np.dtype[Any] | None:
    """Return the type of a model's example inputs, None where NumPy has none like it."""
    try:
        return torch.empty(0, dtype=_sample(model).dtype).numpy().dtype
    except TypeError:
        return None


def _sample(model: nn.Module) -> Tensor:
    return next((p for p in model.parameters() if p.is_floating_point()), torch.empty(0))


def _numbered(stem: str, count: int) -> tuple[str, ...]:
    return (stem,) if count == 1 else tuple(f"{stem}_{i}" for i in range(count))


def _all_tensors(values: Sequence[object]) -> bool:
    return len(values) > 0 and all(isinstance(value, Tensor) for value in values)


def _describe(output: object) -> str:
    if isinstance(output, Mapping):
        return f"a dictionary with {', '.join(type(v).__name__ for v in output.values()) or 'nothing'} in it"
    if isinstance(output, list | tuple):
        return f"a {type(output).__name__} of {', '.join(type(v).__name__ for v in output) or 'nothing'}"
    return f"a {type(output).__name__}"


def patchwork(arrays: Sequence[Array]) -> tuple[Array, ...]:
    """Return images (B, 3, H, W) of the same size that consist of plain squares of seeded colours."""
    images, *others = arrays
    batch, channels, height, width = images.shape
    cells = (batch, channels, -(-height // _SQUARE), -(-width // _SQUARE))
    colours = np.random.default_rng(batch).random(cells, dtype=np.float32)
    large = colours.repeat(_SQUARE, axis=2).repeat(_SQUARE, axis=3)
    return (np.ascontiguousarray(large[:, :, :height, :width]), *others)
