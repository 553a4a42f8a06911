"""Every classification and segmentation model of torchvision, by its torchvision name."""

import re
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from torch import nn

from compressor.rates.layout import Layout, TableLayout
from compressor.zoo import FAMILIES
from compressor.zoo.architecture import Architecture, State, unchanged
from compressor.zoo.inputs import InputSpec
from compressor.zoo.mobilenet_v2_cifar import InvertedResidualLayout
from compressor.zoo.options import CLASSES, OneOf, Option

_SIDES = {"inception_v3": 299}
"""Image sides other than 224 that a constructor insists on or was made for."""

_WITHOUT_AUXILIARIES = ("googlenet", "inception_v3")


@FAMILIES.register("torchvision")
class _Family:
    @staticmethod
    def names() -> Iterable[str]:
        import torchvision.models as tv

        found: list[str] = tv.list_models(module=tv) + tv.list_models(module=tv.segmentation)
        return found

    @staticmethod
    def architecture(name: str) -> Architecture:
        side = _SIDES.get(name, 224)
        return Architecture(
            name=name,
            constructor=partial(_build, name),
            kwargs=_kwargs(name),
            options=_options(name),
            input=InputSpec(shapes=((3, side, side),)),
            layouts=_LAYOUTS.get(name, _no_layouts)(),
            rename=_RENAMES.get(name, unchanged),
        )


def _build(name: str, **kwargs: Any) -> nn.Module:
    import torchvision.models as tv

    model: nn.Module = tv.get_model(name, weights=None, **kwargs)
    return model


def _kwargs(name: str) -> dict[str, Any]:
    """Return arguments that give the deployed network: no auxiliary heads, no downloads."""
    if name in _WITHOUT_AUXILIARIES:
        return {"aux_logits": False, "init_weights": False}
    return {"weights_backbone": None} if name.startswith(("fcn", "deeplab", "lraspp")) else {}


def _options(name: str) -> dict[str, Option]:
    """Return what may come from outside: never weights, which would be downloaded."""
    fixed = {key: OneOf((value,)) for key, value in _kwargs(name).items()}
    return {**fixed, "num_classes": CLASSES}


def _without_auxiliaries(state: State) -> State:
    """Published checkpoints carry the auxiliary classifiers, which only training uses."""
    return {key: value for key, value in state.items() if not key.startswith(("aux", "AuxLogits"))}


_FLAT = re.compile(r"features\.(\d+)\.conv\.(\d+)\.")
_NESTED_FIRST = {"0": "0.0", "1": "0.1", "3": "1", "4": "2"}
_NESTED = {"0": "0.0", "1": "0.1", "3": "1.0", "4": "1.1", "6": "2", "7": "3"}
"""Position inside a block, activations counted -> torchvision's name; the first block does not expand."""


def _nested(state: State) -> State:
    """CORING's checkpoints of MobileNetV2 number a block's layers through; torchvision's are left alone."""
    flat = "features.1.conv.3.weight" in state  # torchvision's first block ends with conv.2
    return {_FLAT.sub(_nested_prefix, key): v for key, v in state.items()} if flat else state


def _nested_prefix(found: re.Match[str]) -> str:
    block, layer = found.groups()
    names = _NESTED_FIRST if block == "1" else _NESTED
    return f"features.{block}.conv.{names.get(layer, layer)}."


def _no_layouts() -> dict[str, Layout]:
    return {}


def _resnet50() -> dict[str, Layout]:
    """Return both authors' layouts; ``coring`` has one rate for conv1 and conv2 of a block."""
    stages = [[f"layer{s}.{b}" for b in range(n)] for s, n in zip((1, 2, 3, 4), (3, 4, 6, 3), strict=True)]
    outputs = [tuple(f"{block}.conv3" for block in stage) for stage in stages]
    inner = [(f"{block}.conv1", f"{block}.conv2") for stage in stages for block in stage]
    each = [(f"{b}.conv{c}",) for stage in stages for b in stage for c in (1, 2, 3)]
    stem = [("conv1",)]
    return {
        "coring": TableLayout((*stem, *outputs[:3], *inner)),
        "central-filter": TableLayout((*stem, *each)),
    }


def _mobilenet_v2() -> dict[str, Layout]:
    return {"coring": InvertedResidualLayout(expand="conv.0.0", project="conv.2", first="conv.1")}


_LAYOUTS: dict[str, Callable[[], dict[str, Layout]]] = {"resnet50": _resnet50, "mobilenet_v2": _mobilenet_v2}
_RENAMES: dict[str, Callable[[State], State]] = {
    "googlenet": _without_auxiliaries,
    "inception_v3": _without_auxiliaries,
    "mobilenet_v2": _nested,
}
