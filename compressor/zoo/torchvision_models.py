"""Every classification and segmentation model of torchvision, by its torchvision name."""

from collections.abc import Iterable
from functools import partial
from typing import Any

from torch import nn

from compressor.rates.layout import Layout, TableLayout
from compressor.types import InputSpec
from compressor.zoo import FAMILIES
from compressor.zoo.architecture import Architecture, State

_SIDES = {"inception_v3": 299}
"""Image sides other than 224 that a constructor insists on or was made for."""

_WITHOUT_AUXILIARIES = ("googlenet", "inception_v3")


@FAMILIES.register("torchvision")
class _Family:
    @staticmethod
    def names() -> Iterable[str]:
        import torchvision.models as tv

        return tv.list_models(module=tv) + tv.list_models(module=tv.segmentation)

    @staticmethod
    def architecture(name: str) -> Architecture:
        side = _SIDES.get(name, 224)
        return Architecture(
            name=name,
            constructor=partial(_build, name),
            kwargs=_kwargs(name),
            input=InputSpec(shapes=((3, side, side),)),
            layouts=_layouts() if name == "resnet50" else {},
            rename=_without_auxiliaries if name in _WITHOUT_AUXILIARIES else _unchanged,
        )


def _build(name: str, **kwargs: Any) -> nn.Module:  # noqa: ANN401 (the constructors' own arguments)
    import torchvision.models as tv

    model: nn.Module = tv.get_model(name, weights=None, **kwargs)
    return model


def _kwargs(name: str) -> dict[str, Any]:
    """Return arguments that give the deployed network: no auxiliary heads, no downloads."""
    if name in _WITHOUT_AUXILIARIES:
        return {"aux_logits": False, "init_weights": False}
    return {"weights_backbone": None} if name.startswith(("fcn", "deeplab", "lraspp")) else {}


def _unchanged(state: State) -> State:
    return state


def _without_auxiliaries(state: State) -> State:
    """Published checkpoints carry the auxiliary classifiers, which only training uses."""
    return {key: value for key, value in state.items() if not key.startswith(("aux", "AuxLogits"))}


def _layouts() -> dict[str, Layout]:
    """Return both authors' layouts for resnet50; ``coring`` has one rate for conv1 and conv2 of a block."""
    stages = [[f"layer{s}.{b}" for b in range(n)] for s, n in zip((1, 2, 3, 4), (3, 4, 6, 3), strict=True)]
    outputs = [tuple(f"{block}.conv3" for block in stage) for stage in stages]
    inner = [(f"{block}.conv1", f"{block}.conv2") for stage in stages for block in stage]
    each = [(f"{b}.conv{c}",) for stage in stages for b in stage for c in (1, 2, 3)]
    stem = [("conv1",)]
    return {
        "coring": TableLayout((*stem, *outputs[:3], *inner)),
        "central-filter": TableLayout((*stem, *each)),
    }
