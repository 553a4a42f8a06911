"""Models in memory that nobody named."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Final

from torch import nn

from compressor.artifact.opening import Wanted, open_model
from compressor.artifact.value import Artifact
from compressor.artifact.vetting import require_same_shapes
from compressor.base.errors import UsageError
from compressor.zoo import Architecture, find
from compressor.zoo.inputs import InputSpec

Source = str | Path | Artifact | nn.Module
"""A model: by name, in a folder, opened already, or live."""

_IN_MEMORY: Final = "a model in memory"


def as_artifact(
    model: Source, shape: tuple[int, ...] | None = None, factory: str | None = None, seed: int = 0
) -> Artifact:
    """Return whatever stands for a model as an artifact.

    Args:
        model: name, folder, artifact, or live module, which is copied.
        shape: of the input, (channels, height, width); needed for a live module.
        factory: name or ``package.module:factory`` that rebuilds a live module.
        seed: of random weights.

    Raises:
        UsageError: there is no such model, or the factory builds another one.
    """
    if isinstance(model, nn.Module):
        return _live(model, shape, factory)
    if factory is not None:
        raise UsageError(f"{model} is no live module", "leave factory out.")
    if isinstance(model, Artifact):
        return model
    wanted = Wanted(shapes=(shape,) if shape else None, seed=seed)
    return open_model(str(model), wanted)


def _live(module: nn.Module, shape: tuple[int, ...] | None, factory: str | None) -> Artifact:
    """Return a copy of somebody's module as an artifact."""
    name = type(module).__name__
    if shape is None:
        raise UsageError(f"what a live {name} takes is not known", "say it: input=(3, 224, 224).")
    copied = copy.deepcopy(module).cpu().eval()
    if factory is None:
        own = Architecture(
            name=name, constructor=lambda: copy.deepcopy(module), input=InputSpec(shapes=(shape,))
        )
        return replace(Artifact.of(copied, own, _IN_MEMORY), own=own)
    arch = find(factory).with_options(shapes=(shape,))
    require_same_shapes(arch, copied)
    return Artifact.of(copied, arch, _IN_MEMORY)
