"""A torchvision R-CNN as one module of static shapes."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN

from detection.stages import TAP, Ranked, Stage, carried_out
from detection.static.atlas import AtlasLayout
from detection.static.canvas import NormalisedCanvas
from detection.static.heads import StaticBoxHead, StaticKeypointHead, StaticMaskHead
from detection.static.proposals import Proposals, StaticProposals
from detection.static.pyramid import features_of, probe
from detection.static.settings import StaticSettings

_FOUND = ("num_detections", "boxes", "scores", "labels", "converged")


class StaticDetector(nn.Module):
    """Faster, Mask or Keypoint R-CNN on a canvas of one size, without control flow.

    It shares the detector's sub-modules, dense or pruned, and computes what torchvision computes on the same
    canvas: thresholds and limits are read from the detector. Every shape but the batch is static, and only
    plain operations, TopK and RoIAlign appear, so that runtimes can plan memory and capture graphs.

    Args:
        detector: torchvision's; sub-modules are shared, not copied.
        settings: canvas and sizes; `StaticSettings.of` gives the detector's own.

    Raises:
        UsageError: the detector has parts without a static form.
    """

    def __init__(self, detector: GeneralizedRCNN, settings: StaticSettings) -> None:
        super().__init__()
        self.settings = settings
        self.backbone = detector.backbone
        example = probe(detector, settings)
        self.maps = tuple(example)
        self._tapped = False
        self.rpn = StaticProposals(detector.rpn, example, settings)
        heads = detector.roi_heads
        self.layout = AtlasLayout(heads.box_roi_pool, example, settings.height)
        self.boxes = StaticBoxHead(heads, self.layout, self.rpn.proposals, settings)
        self.masks = StaticMaskHead(heads, self.layout) if heads.has_mask() else None
        self.keypoints = StaticKeypointHead(heads, self.layout) if heads.has_keypoint() else None
        self.canvas = NormalisedCanvas(detector.transform, next(detector.parameters()).device)

    def forward(self, images: Tensor, sizes: Tensor) -> dict[str, Tensor]:
        """Detect.

        Args:
            images: (B, 3, H, W) RGB in 0..1, the image at the top left of the canvas, anything around it.
            sizes: (B, 2) float, rows and columns of the image within the canvas.

        Returns:
            Tensors with the batch first. D is ``settings.detections``, or the number of (proposal, class)
            pairs where that is less; rows are best first, and those not used have score 0 and label 0.

            * ``num_detections`` (B,) int64: rows in use.
            * ``boxes`` (B, D, 4): left, top, right, bottom in pixels of the canvas, within the image.
            * ``scores`` (B, D) and ``labels`` (B, D) int64.
            * ``masks`` (B, D, m, m), Mask R-CNN: probabilities of the label on a grid over the box.
            * ``heatmaps`` (B, D, K, m, m), Keypoint R-CNN: logits on a grid over the box.
            * ``converged`` (B,) bool: all suppressions reached their fixed point, which is greedy NMS, and
              more than ``settings.candidates`` pairs were not needed to fill D rows. Where it is false,
              detections may differ from torchvision's: raise ``nms_iterations`` or ``candidates``.
        """
        values = carried_out(self.stages(), {"images": images, "sizes": sizes})
        inner = {f"{TAP}{name}": values[name] for name in self.inner()} if self._tapped else {}
        return {name: values[name] for name in self.outputs} | inner

    def stages(self) -> tuple[Stage, ...]:
        """Return the steps of `forward`, from ``images`` and ``sizes`` to its outputs."""
        maps, logits, codes = (
            tuple(f"{part}.{name}" for name in self.maps) for part in ("features", "rpn.logits", "rpn.codes")
        )
        best = ("candidates.scores", "candidates.boxes")
        proposals = ("proposals.boxes", "proposals.valid", "proposals.settled")
        head = ("boxes.logits", "boxes.codes")
        return (
            Stage(name="features", takes=("images", "sizes"), gives=maps, run=self._features),
            Stage(name="RPN", takes=maps, gives=logits + codes, run=self._scored),
            Stage(
                name="candidates", takes=("sizes", *logits, *codes), gives=best, run=self._candidates,
                ranked=Ranked(boxes=best[1], scores=best[0]),
            ),
            Stage(
                name="proposals", takes=best, gives=proposals, run=self._proposed,
                ranked=Ranked(boxes=proposals[0], scores=proposals[1]),
            ),
            Stage(name="atlas", takes=maps, gives=("atlas",), run=self._atlas, shown=False),
            Stage(name="box head", takes=("atlas", proposals[0]), gives=head, run=self.boxes.predicted),
            Stage(name="scores", takes=head[:1], gives=("boxes.scores",), run=_scores),
            Stage(
                name="detections", takes=("sizes", "boxes.scores", head[1], *proposals), gives=_FOUND,
                run=self._found,
                ranked=Ranked(boxes="boxes", scores="scores", labels="labels"),
            ),
            *self._regions(),
        )  # fmt: skip

    def inner(self) -> tuple[str, ...]:
        """Return the names of what the stages show and `forward` does not return."""
        shown = (name for stage in self.stages() if stage.shown for name in stage.gives)
        return tuple(name for name in shown if name not in self.outputs)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of what `forward` returns."""
        given = {"masks": self.masks, "heatmaps": self.keypoints}
        return (*_FOUND[:-1], *(name for name, head in given.items() if head is not None), _FOUND[-1])

    def features(self, images: Tensor, sizes: Tensor) -> dict[str, Tensor]:
        """Return the feature maps by name."""
        return self.stages()[0]({"images": images, "sizes": sizes})

    def detect(self, features: Mapping[str, Tensor], images: Tensor, sizes: Tensor) -> dict[str, Tensor]:
        """Return what `forward` does, from its feature maps; ``images`` are not looked at."""
        values = carried_out(self.stages()[1:], {**features, "sizes": sizes})
        return {name: values[name] for name in self.outputs}

    def regions(
        self, features: Mapping[str, Tensor], boxes: Tensor, labels: Tensor, sizes: Tensor
    ) -> dict[str, Tensor]:
        """Return masks or heat maps of given ``boxes`` (B, D, 4) with their ``labels`` (B, D)."""
        (atlas,) = self._atlas(*features.values())
        values = carried_out(self._regions(), {"atlas": atlas, "boxes": boxes, "labels": labels})
        return {name: values[name] for name in ("masks", "heatmaps") if name in values}

    @contextmanager
    def tapped(self) -> Iterator[None]:
        """Let `forward` return its `inner` values too while the block lasts, under `TAP` and their names."""
        self._tapped = True
        try:
            yield
        finally:
            self._tapped = False

    @contextmanager
    def listening(self) -> Iterator[float]:
        """Let everything through that scores above 0 while the block lasts; yield the usual threshold."""
        usual = self.boxes.score_thresh
        self.boxes.score_thresh = 0.0
        try:
            yield usual
        finally:
            self.boxes.score_thresh = usual

    def _features(self, images: Tensor, sizes: Tensor) -> tuple[Tensor, ...]:
        return tuple(features_of(self.backbone, self.canvas(images, sizes)).values())

    def _scored(self, *maps: Tensor) -> tuple[Tensor, ...]:
        logits, codes = self.rpn.head(list(maps))
        return (*logits, *codes)

    def _candidates(self, sizes: Tensor, *outputs: Tensor) -> tuple[Tensor, ...]:
        half = len(self.maps)
        return self.rpn.candidates(outputs[:half], outputs[half:], sizes)

    def _proposed(self, scores: Tensor, boxes: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.rpn(scores, boxes))

    def _atlas(self, *maps: Tensor) -> tuple[Tensor]:
        return (self.layout(dict(zip(self.maps, maps, strict=True))),)

    def _found(
        self, sizes: Tensor, scores: Tensor, codes: Tensor, boxes: Tensor, valid: Tensor, settled: Tensor
    ) -> tuple[Tensor, ...]:
        proposals = Proposals(boxes=boxes, valid=valid, settled=settled)
        found = self.boxes(scores, codes, proposals, sizes)
        count = (found.scores > 0).sum(dim=1)
        return count, found.boxes, found.scores, found.labels, settled & found.exact

    def _regions(self) -> tuple[Stage, ...]:
        takes, stages = ("atlas", "boxes", "labels"), []
        if self.masks is not None:
            logits = ("masks.logits",)
            stages += [
                Stage(name="mask head", takes=takes, gives=logits, run=self.masks),
                Stage(name="masks", takes=logits, gives=("masks",), run=_probabilities),
            ]
        if self.keypoints is not None:
            stages.append(Stage(name="keypoint head", takes=takes, gives=("heatmaps",), run=self.keypoints))
        return tuple(stages)


def _probabilities(logits: Tensor) -> tuple[Tensor]:
    return (torch.sigmoid(logits),)


def _scores(logits: Tensor) -> tuple[Tensor]:
    """Return probabilities without the background's."""
    return (torch.softmax(logits, dim=-1)[:, :, 1:],)
