"""Read checkpoints that others wrote, without executing anything in them."""

import pickle
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from compressor.base.errors import UsageError
from compressor.base.files import named
from compressor.base.text import foreign
from compressor.zoo.architecture import Architecture, State

_COUNTERS = ("total_ops", "total_params")
"""What thop leaves in the state dict of a model that it profiled."""

_WRAPPERS = ("state_dict", "model", "model_state_dict", "net", "ema")


def built(
    arch: Architecture,
    weights: Path | None,
    options: Mapping[str, Any],
    shapes: tuple[tuple[int, ...], ...] | None = None,
) -> tuple[nn.Module, Architecture, str]:
    """Build a model, with a checkpoint where there is one.

    What the checkpoint implies, the number of classes for instance, is asked of it; ``options`` overrule it.

    Returns:
        The model, its architecture with arguments and input, and a sentence on its weights.

    Raises:
        UsageError: the checkpoint cannot be read safely, or does not fit.
    """
    if weights is None:
        arch = arch.with_options(options, shapes)
        return arch.build(), arch, "random initialisation"
    state = arch.rename(read_state(weights))
    arch = arch.with_options({**arch.implied(state), **options}, shapes)
    model = arch.build()
    load_state(model, state, weights, arch)
    random = arch.optional(state)
    return model, arch, f"{weights.name}; random in {', '.join(random)}" if random else weights.name


def load_weights(model: nn.Module, path: Path, arch: Architecture) -> None:
    """Load a checkpoint into ``model``: every parameter must be there and fit.

    Raises:
        UsageError: the file cannot be read safely, or does not fit the architecture.
    """
    load_state(model, arch.rename(read_state(path)), path, arch)


def load_state(model: nn.Module, state: State, path: Path, arch: Architecture) -> None:
    """Load the renamed content of ``path``; only what the architecture calls optional may be missing.

    Raises:
        UsageError: it does not fit.
    """
    own = model.state_dict()
    optional = arch.optional(state)
    spared = {k: v for k, v in own.items() if k.endswith("num_batches_tracked") or k.startswith(optional)}
    state = {**spared, **state}
    wrong = [k for k, v in state.items() if k in own and own[k].shape != v.shape]
    missing, extra = [k for k in own if k not in state], [k for k in state if k not in own]
    if wrong or missing or extra:
        raise UsageError(_misfit(path, arch.name, own, state, wrong, missing, extra), _FIT_HINT)
    for name, tensor in state.items():
        if tensor.is_floating_point() != own[name].is_floating_point():
            raise UsageError(
                f"{foreign(path)}: {foreign(name)} is {tensor.dtype}, not {own[name].dtype}", _SAVE_HINT
            )
        if tensor.is_floating_point() and not bool(tensor.to(own[name].dtype).isfinite().all()):
            raise UsageError(
                f"{foreign(path)}: {foreign(name)} holds NaN or infinity",
                "the training that wrote it diverged; take an earlier checkpoint.",
            )
    model.load_state_dict({k: v.to(own[k].dtype) for k, v in state.items()}, strict=True)


_FIT_HINT = "check the model's name, and --classes if the checkpoint has another number of classes."


def _misfit(
    path: Path, arch: str, own: State, state: State, wrong: list[str], missing: list[str], extra: list[str]
) -> str:
    parts = [f"{foreign(key)} is {tuple(state[key].shape)}, not {tuple(own[key].shape)}" for key in wrong[:3]]
    parts += [f"{len(missing)} tensors are missing ({', '.join(missing[:3])})"] if missing else []
    parts += [f"{len(extra)} are unknown ({', '.join(map(foreign, extra[:3]))})"] if extra else []
    return f"{foreign(path)} does not fit {arch}: {'; '.join(parts)}"


def read_state(path: Path) -> State:
    """Return the tensors of a ``.safetensors`` file or a PyTorch checkpoint, by name.

    Wrappers such as ``{"state_dict": ...}`` and the prefix ``module.`` of data-parallel training are removed.

    Raises:
        UsageError: the file is missing, damaged, holds code, or holds no tensors.
    """
    with named(path):
        there = path.is_file()
    if not there:
        raise UsageError(f"no weights at {path}", "check the path of --weights.")
    content = _safetensors(path) if path.suffix == ".safetensors" else _pickled(path)
    for name in _WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(name), dict):
            content = content[name]
    if not isinstance(content, dict) or not content:
        raise UsageError(f"{foreign(path)} holds no state dict", _SAVE_HINT)
    tensors = {
        k.removeprefix("module."): v
        for k, v in content.items()
        if isinstance(k, str) and isinstance(v, Tensor) and not k.endswith(_COUNTERS)
    }
    if not tensors:
        raise UsageError(f"{foreign(path)} holds no tensors with names", _SAVE_HINT)
    for name, tensor in tensors.items():
        plain = tensor.layout == torch.strided and tensor.device.type == "cpu"
        if not plain or tensor.dtype not in _DTYPES:
            raise UsageError(
                f"{foreign(path)}: {foreign(name)} is no plain tensor of real numbers", _SAVE_HINT
            )
    return tensors


_DTYPES = (
    torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.bool, torch.uint8, torch.int8,
    torch.int16, torch.int32, torch.int64,
)  # fmt: skip
_SAVE_HINT = "save the dense model's with torch.save(model.state_dict(), path)."


def _safetensors(path: Path) -> Any:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise UsageError(
            f"{foreign(path)} is not a readable safetensors file: {foreign(error)}",
            "download or save it again.",
        ) from error


def _pickled(path: Path) -> Any:
    _refuse_bomb(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # remarks on pickle protocols; what matters ends in an error
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = foreign(str(error).split("WeightsUnpickler error: ")[-1].partition("\n")[0])
        raise UsageError(
            f"{foreign(path)} was refused: it holds more than tensors ({reason})",
            "loading it could run code; where it comes from a source you trust, load it in Python and save "
            "model.state_dict() alone.",
        ) from error
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise UsageError(
            f"{foreign(path)} is not a readable checkpoint: {foreign(error)}", "download or save it again."
        ) from error


def _refuse_bomb(path: Path) -> None:
    """Refuse an archive that unpacks to more than it holds: PyTorch stores without compression."""
    try:
        if not zipfile.is_zipfile(path):
            return
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise UsageError(
            f"{foreign(path)} is not a readable checkpoint: {foreign(error)}", "download or save it again."
        ) from error
    if unpacked > path.stat().st_size:
        raise UsageError(
            f"{foreign(path)} would unpack to {unpacked:,} bytes", "save it again with torch.save."
        )
