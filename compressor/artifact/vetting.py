"""What an artifact may ask for, checked against the model before anything of its size is allocated.

The dense model is built without memory (PyTorch's meta device), the plan is checked and carried out on it,
and what results says how large every tensor of the weights must be.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from compressor.base.bounds import require_memory
from compressor.base.documents import read_bounded
from compressor.base.errors import ArtifactError, CompressError, UsageError
from compressor.base.text import foreign
from compressor.steps.plan import PrunePlan
from compressor.zoo import Architecture

Template = Mapping[str, Tensor]
"""Name -> a tensor of the right shape and type; its values mean nothing."""

_HINT = "the artifact was edited or written by another version of the architecture; prune again."


def vetted(arch: Architecture, plan: PrunePlan, where: str) -> Template:
    """Return what the weights of a pruned model must look like.

    Args:
        arch: with arguments that were checked already.
        plan: from a file.
        where: the file, for messages.

    Raises:
        ArtifactError: the plan does not fit the model.
        UsageError: the model does not fit into memory, or cannot be built.
    """
    model = skeleton(arch)
    size = sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values())
    require_memory(2 * size, f"{foreign(arch.name)} as {where} asks for it", _HINT)
    for number, step in enumerate(plan.steps):
        try:
            step.check(model)
            model = step.shrink(model)
        except CompressError as error:
            raise ArtifactError(f"{where}: step {number}: {error.message}", _HINT) from error
        except (RuntimeError, ValueError, TypeError, IndexError, KeyError, AttributeError) as error:
            raise ArtifactError(f"{where}: step {number} does not fit: {foreign(error)}", _HINT) from error
    return model.state_dict()


def skeleton(arch: Architecture) -> nn.Module:
    """Return the dense model without memory for its weights; with it where its constructor needs numbers."""
    try:
        with torch.device("meta"):
            return arch.build()
    except (NotImplementedError, RuntimeError):  # a constructor that computes with values
        return arch.build()


def require_same_shapes(arch: Architecture, model: nn.Module) -> None:
    """Refuse an architecture that builds another model than the one at hand.

    Raises:
        UsageError: a tensor is missing, unknown, or of another shape.
    """
    built = {name: tuple(tensor.shape) for name, tensor in skeleton(arch).state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    for name in (*found, *built):
        if built.get(name) != found.get(name):
            raise UsageError(
                f"{foreign(arch.name)} builds another model: {foreign(name)} is {built.get(name, 'absent')}, "
                f"not {found.get(name, 'absent')}",
                "name the factory that builds this very model, without arguments.",
            )


def vetted_weights(file: Path, sha256: str, template: Template) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file if it is the one that a manifest speaks of and fits its model.

    Raises:
        ArtifactError: the file cannot be read, has another digest, or a tensor does not fit; missing and
            unknown tensors are told when they are loaded.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    content = read_bounded(file, _most_bytes(template), "copy the whole artifact folder.")
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise ArtifactError(
            f"{file} was changed or cut short: its sha256 is {found}, expected {foreign(sha256)}",
            "copy or write the artifact again.",
        )
    try:
        tensors: dict[str, Tensor] = load(content)
    except (SafetensorError, ValueError, KeyError, RuntimeError) as error:
        raise ArtifactError(f"{file}: {foreign(error)}", "write the artifact again.") from error
    _check_fit(tensors, template, str(file))
    return tensors


def _most_bytes(template: Template) -> int:
    """Return how large a weights file can be: its tensors in double precision, and the header."""
    return sum(8 * tensor.numel() + 1024 for tensor in template.values()) + 2**20


def _check_fit(state: Mapping[str, Tensor], template: Template, where: str) -> None:
    for name, tensor in state.items():
        wanted = template.get(name, tensor)
        alike = tensor.dtype == wanted.dtype or (tensor.is_floating_point() and wanted.is_floating_point())
        if tensor.shape != wanted.shape or not alike:
            raise ArtifactError(
                f"{where}: {foreign(name)} is {tensor.dtype} of shape {tuple(tensor.shape)}, "
                f"not {wanted.dtype} of shape {tuple(wanted.shape)}",
                _HINT,
            )
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise ArtifactError(f"{where}: {foreign(name)} holds NaN or infinity", "train or prune it again.")
