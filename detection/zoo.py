"""Torchvision's two-stage detectors: its own constructors, its own checkpoints, or a backbone's checkpoint.

Norms are ordinary batch norms in a fresh detector, frozen ones where a checkpoint has no count of batches, as
torchvision's published ones have not.
"""

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from torch import nn
from torchvision.ops import FrozenBatchNorm2d

from compressor.rates.layout import Layout, TableLayout
from compressor.zoo import find
from compressor.zoo.architecture import Architecture, State
from compressor.zoo.inputs import InputSpec
from compressor.zoo.options import CLASSES, Number, OneOf, Option, Whole
from detection.deployed import deployed
from detection.full import full
from detection.view import DetectorView

NAMES = (
    "fasterrcnn_mobilenet_v3_large_fpn",
    "fasterrcnn_resnet50_fpn",
    "fasterrcnn_resnet50_fpn_v2",
    "keypointrcnn_resnet50_fpn",
    "maskrcnn_resnet50_fpn",
    "maskrcnn_resnet50_fpn_v2",
)
BODY = "backbone.body."
_OUTSIDE_BODY = ("backbone.fpn", "rpn", "roi_heads")


_COUNTS = (
    "rpn_pre_nms_top_n_train", "rpn_pre_nms_top_n_test", "rpn_post_nms_top_n_train",
    "rpn_post_nms_top_n_test", "rpn_batch_size_per_image", "box_detections_per_img",
    "box_batch_size_per_image", "num_keypoints",
)  # fmt: skip
_SHARES = (
    "rpn_nms_thresh", "rpn_fg_iou_thresh", "rpn_bg_iou_thresh", "rpn_positive_fraction", "rpn_score_thresh",
    "box_score_thresh", "box_nms_thresh", "box_fg_iou_thresh", "box_bg_iou_thresh", "box_positive_fraction",
)  # fmt: skip
_OPTIONS: dict[str, Option] = {
    "norm": OneOf(("batch", "frozen")),
    "num_classes": CLASSES,
    "trainable_backbone_layers": Whole(0, 6),
    **dict.fromkeys(("min_size", "max_size"), Whole(1, 100_000)),
    **dict.fromkeys(_COUNTS, Whole(1, 1_000_000)),
    **dict.fromkeys(_SHARES, Number(-1.0, 1.0)),
}
"""Torchvision's own arguments that are numbers; a score threshold of -1 lets everything through."""


class DetectorArchitecture(Architecture):
    """A detector resizes images to what its input says."""

    def build(self) -> nn.Module:
        """Return the detector with random weights, in evaluation mode."""
        _, height, width = self.input.image
        sides = {"min_size": min(height, width), "max_size": max(height, width)}
        return Architecture.build(self.with_options({**sides, **self.kwargs}))


class _Family:
    @staticmethod
    def names() -> Iterable[str]:
        return NAMES

    @staticmethod
    def architecture(name: str) -> Architecture:
        return DetectorArchitecture(
            name=name,
            constructor=partial(_build, name),
            input=InputSpec(shapes=((3, 800, 1344),)),
            layouts=_layouts(name),
            rename=_renamed,
            task="detection",
            view=DetectorView,
            deployed=deployed,
            forms={"nms-op": partial(deployed, nms="op"), "full": full},
            scopes={"backbone": _OUTSIDE_BODY, "detector": ()},
            implied=_implied,
            optional=_optional,
            options=_OPTIONS,
            levers={"proposals": "rpn_post_nms_top_n_test", "detections": "box_detections_per_img"},
        )


FAMILY = _Family()


def _build(name: str, *, norm: str = "batch", **kwargs: Any) -> nn.Module:
    import torchvision.models.detection as tv

    if norm not in ("batch", "frozen"):
        raise ValueError(f"norm is {norm!r}, neither 'batch' nor 'frozen'")
    model: nn.Module = getattr(tv, name)(weights=None, weights_backbone=None, **kwargs)
    return _frozen(model) if norm == "frozen" else model


def _frozen(model: nn.Module) -> nn.Module:
    """Replace the batch norms of the backbone's body by frozen ones, as torchvision's trained models have."""
    body = model.get_submodule("backbone.body")
    for path, module in list(body.named_modules()):
        if isinstance(module, nn.BatchNorm2d):
            parent, _, name = path.rpartition(".")
            setattr(body.get_submodule(parent), name, FrozenBatchNorm2d(module.num_features, module.eps))
    return model


def _renamed(state: State) -> State:
    """Move a classifier's checkpoint to where the backbone's body is; its classifier is left out."""
    if any(key.startswith("backbone.") for key in state):
        return state
    body = {key: value for key, value in state.items() if not key.startswith(("fc.", "classifier."))}
    return {BODY + key.removeprefix("features."): value for key, value in body.items()}


def _implied(state: State) -> Mapping[str, Any]:
    """Return the constructor arguments that a checkpoint gives away: kind of norm, number of classes."""
    found: dict[str, Any] = {}
    if not any(key.startswith(BODY) and key.endswith("num_batches_tracked") for key in state):
        found["norm"] = "frozen"
    classes = state.get("roi_heads.box_predictor.cls_score.weight")
    return found if classes is None else {**found, "num_classes": classes.shape[0]}


def _optional(state: State) -> tuple[str, ...]:
    """Return the parts that a checkpoint may lack: everything around the body, if it is a backbone's."""
    return () if any(key.startswith("rpn.") for key in state) else ("backbone.fpn.", "rpn.", "roi_heads.")


def _layouts(name: str) -> dict[str, Layout]:
    """Return ResNet-50's layouts for the body of detectors that have one."""
    if "resnet50" not in name:
        return {}
    return {key: _inside(layout) for key, layout in find("resnet50").layouts.items()}


def _inside(layout: Layout) -> Layout:
    assert isinstance(layout, TableLayout)
    return TableLayout(tuple(tuple(BODY + layer for layer in entry) for entry in layout.entries))
