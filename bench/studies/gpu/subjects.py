"""The models, each as it was built and pruned, with random weights, which speed does not depend on."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Final

import torch
from torch import nn
from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN

from bench.studies.common.lively import enlivened
from bench.studies.common.published import STRINGS
from bench.studies.gpu.cells import CLASSIFIERS, DETECTORS, TINY
from compressor.channels.cost import macs_of
from compressor.criteria import CRITERIA
from compressor.methods.ranking import make_plan
from compressor.rates import Budget, PruneRequest, Published
from compressor.steps.shrink import shrink
from compressor.tasks.task import TASKS
from compressor.zoo import Architecture, find
from detection.task import DETECTION
from detection.zoo import FAMILY

DENSE: Final = "dense"
_HALF: Final = PruneRequest(target=Budget("macs", fraction=0.5), round_to=16)
_RESNET: Final = {
    **{f"{name}, in 16s": Published(text, "coring") for name, text in STRINGS.items()},
    "A": Published(STRINGS["A"], "coring"),
}
REQUESTS: Final[Mapping[str, Mapping[str, PruneRequest]]] = {
    "resnet50": {
        name: PruneRequest(target=target, round_to=16 if "16" in name else 1)
        for name, target in _RESNET.items()
    },
    **{name: {"half of the MACs": _HALF} for name in (*CLASSIFIERS[1:], *DETECTORS)},
    TINY: {"half of the MACs": replace(_HALF, round_to=1)},
}
"""Model -> name of a pruned form -> what is removed."""

CANVAS: Final = (3, 800, 1344)
PLANNED_AT: Final = (3, 256, 320)
"""Detectors are planned and compared at a size that takes a CPU seconds; shares of MACs are of that size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """One form of a model, on the CPU.

    Attributes:
        module: in evaluation mode.
        macs: of one image; of detectors at `PLANNED_AT`.
        params: elements of parameters.
    """

    module: nn.Module
    macs: int
    params: int


def architecture(name: str) -> Architecture:
    """Return an architecture; detectors are found though nothing of this project is installed."""
    if name not in FAMILY.names():
        return find(name)
    if "detection" not in TASKS:
        TASKS.register("detection")(DETECTION)
    return FAMILY.architecture(name).with_options(shapes=(CANVAS,))


@cache
def forms_of(name: str) -> Mapping[str, Form]:
    """Return the forms of a model by name, the dense one first; they are made once."""
    arch = architecture(name)
    planned = arch.with_options(shapes=(PLANNED_AT,)) if name in FAMILY.names() else arch
    torch.manual_seed(0)
    dense = arch.build()
    if isinstance(dense, GeneralizedRCNN):
        enlivened(dense)
    found = {DENSE: _form(dense, planned)}
    for words, request in REQUESTS[name].items():
        plan = make_plan(dense, planned, request, CRITERIA.get("l1")()).plan
        small = shrink(dense, plan)
        if isinstance(small, GeneralizedRCNN):
            enlivened(small)
        found[words] = _form(small, planned)
    return found


def _form(module: nn.Module, planned: Architecture) -> Form:
    params = sum(parameter.numel() for parameter in module.parameters())
    return Form(module=module, macs=macs_of(planned.view(module), planned.example()), params=params)
