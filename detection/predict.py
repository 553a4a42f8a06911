"""Detections of a model or of an open session, in one form."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN

from compressor.base.errors import NotFiniteError, UsageError
from compressor.tasks.opened import Run
from detection.coco import Finds
from detection.letterbox import Letterbox, letterbox
from detection.postprocess import decode
from detection.types import Detections


def detect(model: nn.Module, images: Sequence[Tensor]) -> list[Detections]:
    """Return what a torchvision R-CNN, or a `SessionDetector`, finds in images of any size.

    Args:
        model: in evaluation mode.
        images: (3, height, width) RGB in 0..1 each.
    """
    with torch.inference_mode():
        return [_detections(found) for found in model(list(images))]


@contextmanager
def finite_heads(model: nn.Module) -> Iterator[None]:
    """Refuse class logits and codes that are no numbers while the block lasts; torchvision drops their boxes.

    Raises:
        NotFiniteError: from the model's ``forward``.
    """

    def check(head: nn.Module, given: object, outputs: tuple[Tensor, Tensor]) -> None:
        if not all(bool(output.isfinite().all()) for output in outputs):
            raise NotFiniteError(
                "the detector's box head computes NaN or infinity",
                "its weights or the training that made them are broken: take an earlier checkpoint.",
            )

    if not isinstance(model, GeneralizedRCNN):  # an exported file, which was looked at when it was made
        yield
        return
    handle = model.roi_heads.box_predictor.register_forward_hook(check)
    try:
        yield
    finally:
        handle.remove()


_PLAIN = ("num_detections", "boxes", "scores", "labels", "converged")
_OUTPUTS = {"boxes": _PLAIN, "masks": (*_PLAIN, "masks"), "keypoints": (*_PLAIN, "heatmaps")}


class SessionDetector(nn.Module):
    """An exported detector behind the face of torchvision's: images of any size in, dictionaries out.

    Args:
        run: computes named outputs from named inputs.
        names: of the two inputs, canvas and sizes.
        canvas: (height, width) of the graph.
        finds: what it finds besides boxes.
        classes: number of its classes, background included.
        max_batch: most images in a call, or None.
    """

    def __init__(
        self,
        run: Run,
        names: Sequence[str],
        canvas: tuple[int, int],
        *,
        finds: Finds,
        classes: int,
        max_batch: int | None = None,
    ) -> None:
        super().__init__()
        self.finds, self.classes = finds, classes
        self._run, self._names, self._canvas = run, tuple(names), canvas
        self._max_batch = max_batch
        self.converged = True

    def forward(self, images: Sequence[Tensor]) -> list[dict[str, NDArray[Any]]]:
        """Detect; `converged` turns false where the graph's suppression did not reach its fixed point."""
        size = self._max_batch or max(1, len(images))
        starts = range(0, len(images), size)
        return [found for start in starts for found in self._called(images[start : start + size])]

    def _called(self, images: Sequence[Tensor]) -> list[dict[str, NDArray[Any]]]:
        boxed, feed = canvas_feed(images, self._canvas)
        outputs = self._run(dict(zip(self._names, feed, strict=True)))
        missing = [name for name in _OUTPUTS[self.finds] if name not in outputs]
        if missing:
            raise UsageError(f"the file returns no {', '.join(missing)}", "export it again.")
        self.converged &= bool(outputs["converged"].all())
        return [decode(outputs, index, one.scale, one.original) for index, one in enumerate(boxed)]


def canvas_feed(
    images: Sequence[Tensor], canvas: tuple[int, int]
) -> tuple[list[Letterbox], tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Return images of any size as the static graph takes them: canvases and sizes, with the batch first."""
    boxed = [letterbox(image.cpu().numpy(), *canvas) for image in images]
    sizes = np.array([one.size for one in boxed], dtype=np.float32)
    return boxed, (np.stack([one.canvas for one in boxed]), sizes)


def _detections(found: Mapping[str, Any]) -> Detections:
    arrays = {
        name: np.asarray(value.cpu() if isinstance(value, Tensor) else value) for name, value in found.items()
    }
    masks = arrays.get("masks")
    return Detections(
        boxes=arrays["boxes"],
        scores=arrays["scores"],
        labels=arrays["labels"],
        masks=None if masks is None else _binary(masks),
        keypoints=arrays.get("keypoints"),
        keypoint_scores=arrays.get("keypoints_scores", arrays.get("keypoint_scores")),
    )


def _binary(masks: NDArray[Any]) -> NDArray[np.bool_]:
    """Return (n, height, width); torchvision gives probabilities with an axis of one class."""
    flat = masks[:, 0] if masks.ndim == 4 else masks
    return flat if flat.dtype == np.bool_ else flat > 0.5
