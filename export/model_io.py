"""What a model looks like from outside: names of its inputs and outputs, example inputs.

One rule of names holds for ONNX files and for PyTorch sessions, so that the two can be compared by name:
a single input is ``input``, several are ``input_0``, ``input_1`` ...; outputs likewise, except that a model
returning a dictionary (torchvision's segmentation models) keeps its keys.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from compressor.base.errors import UsageError
from compressor.tasks.examples import example_arrays
from compressor.zoo.inputs import InputSpec

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
