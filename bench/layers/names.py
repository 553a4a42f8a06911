"""Modules of a model as it is served, by the names that it has as it is traced.

A detector is served as a static graph whose heads have other names. What is the same are the parameters.
"""

from collections.abc import Mapping

from torch import nn

from compressor.artifact import Artifact

Names = Mapping[str, str]


def own_names(artifact: Artifact) -> Names:
    """Return path of a module that is served -> path of the module that it is of the model's."""
    return same_parameters(artifact.deployed()[0], artifact.view)


def same_parameters(served: nn.Module, traced: nn.Module) -> Names:
    """Return path in one module -> path in another, of modules that hold the same parameters."""
    known = {id(parameter): name for name, parameter in traced.named_parameters()}
    pairs = ((name, known.get(id(parameter))) for name, parameter in served.named_parameters())
    return {name.rpartition(".")[0]: own.rpartition(".")[0] for name, own in pairs if own is not None}
