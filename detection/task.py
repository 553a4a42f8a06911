"""The task of finding objects: COCO-format data in, average precision out, through the common loop."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from compressor.base import distributed
from compressor.base.errors import UsageError
from compressor.base.modes import evaluation
from compressor.base.text import foreign
from compressor.data import DataSplits, ImageSet
from compressor.tasks.opened import Images, OpenFile, Pair, Run, Runnable
from compressor.tasks.parity import ParityReport
from compressor.tasks.recipe import Recipe
from compressor.tasks.scores import AveragePrecision
from compressor.tasks.task import TASKS, Task
from compressor.zoo.inputs import InputSpec
from detection.coco import CocoSet, DetectionBatch, Finds, open_coco
from detection.evaluation import EncodedDetections, encode_detections, kinds_of, score_detections
from detection.learning import attention_maps, batch_loss
from detection.parity.proof import prove_detections
from detection.parity.rows import Stages, canvas_noise
from detection.predict import SessionDetector, canvas_feed, detect, finite_heads

REFERENCE_RECIPE: Final = Recipe(
    epochs=26, batch_size=16, lr=0.02, schedule="step", milestones=(16, 22), warmup_epochs=0.14,
    nesterov=False, weight_decay=1e-4,
)  # fmt: skip
"""Torchvision's reference schedule for detectors: 26 epochs, a thousand steps of warm-up on COCO."""


class CocoImages:
    """COCO-format images with the targets that a detector's heads learn from."""

    batch_size = 4
    calibration_images = 32

    def open(self, spec: str, inputs: InputSpec, model: nn.Module) -> DataSplits:
        """Open ``coco:DIR`` with the targets that the model's heads learn from."""
        kind, _, argument = spec.partition(":")
        if kind != "coco":
            raise UsageError(f"a detector cannot use the data set {spec!r}", "give --data coco:DIR.")
        splits = open_coco(argument, task_of(model), classes=classes_of(model))
        return DataSplits(
            name=splits.name,
            spec=spec,
            classes=splits.classes,
            synthetic=splits.synthetic,
            train=splits.train,
            val=splits.val,
            test=splits.test,
            task="detection",
            summary=splits.summary,
            test_name="val",
        )

    def check(self, model: nn.Module, data: DataSplits) -> None:
        """Refuse a model with fewer classes than the data."""
        if classes_of(model) < data.classes:
            raise UsageError(
                f"the model has {classes_of(model)} classes, but {data.name} has {data.classes}",
                f"build it with --classes {data.classes}.",
            )

    def size(self, batch: DetectionBatch) -> int:
        """Return the number of images."""
        return len(batch)

    def pieces(self, batch: DetectionBatch, parts: int) -> list[DetectionBatch]:
        """Cut images and targets alike."""
        return batch.split(parts)

    def feeds(self, batch: DetectionBatch, inputs: InputSpec) -> tuple[NDArray[Any], ...]:
        """Return the images on canvases, and their sizes within them."""
        _, height, width = inputs.image
        return canvas_feed(batch.images, (height, width))[1]


class DetectorLosses:
    """Torchvision's own losses."""

    recipe = REFERENCE_RECIPE

    def teach(self, teacher: nn.Module, batch: DetectionBatch) -> list[Tensor]:
        """Return the attention of the teacher's feature pyramid."""
        return attention_maps(teacher, batch)

    def loss(self, model: nn.Module, batch: DetectionBatch, recipe: Recipe, taught: object | None) -> Tensor:
        """Return torchvision's losses, mixed with imitation where there is a teacher."""
        return batch_loss(model, batch, recipe.distill, taught)


class CocoScore:
    """Average precision."""

    def score(
        self,
        model: nn.Module,
        images: ImageSet,
        *,
        batch_size: int | None = None,
        device: torch.device | None = None,
    ) -> AveragePrecision:
        """Return COCO's average precision of everything that the data set has targets for.

        Raises:
            NotFiniteError: the box head computes NaN or infinity; such boxes would be left out in silence.
        """
        assert isinstance(images, CocoSet)
        device = device or torch.device("cpu")
        model.to(device)
        kinds, size = kinds_of(images.task), min(batch_size or CocoImages.batch_size, CocoImages.batch_size)
        shards = images.batches(size, device=device, rank=distributed.rank(), world=distributed.world())
        with evaluation(model), finite_heads(model):
            found = (
                pair for batch in shards for pair in zip(batch.ids, detect(model, batch.images), strict=True)
            )
            mine = encode_detections(images.truth, found, kinds)
        everyone = EncodedDetections.merged(distributed.gathered(mine))
        return score_detections(images.truth, everyone, kinds)

    def run(self, model: nn.Module, batch: DetectionBatch) -> object:
        """Return what the model finds."""
        return model(list(batch.images))


class DetectorFiles:
    """Files of the static graph, or of another form that takes and returns the same."""

    companion = Path(__file__).with_name("postprocess.py")

    def properties(self, model: nn.Module) -> dict[str, str]:
        """Return what the detector finds, and its number of classes."""
        return {"finds": task_of(model), "classes": str(classes_of(model))}

    def remote(
        self, run: Run, names: Sequence[str], inputs: InputSpec, properties: Mapping[str, str]
    ) -> nn.Module:
        """Return a detector around a session of the static graph.

        Raises:
            UsageError: the file does not say what it needs to.
        """
        finds, classes = properties.get("compress.finds", ""), properties.get("compress.classes", "")
        fits = len(inputs.shapes) == len(names) == 2 and len(inputs.image) == 3
        if finds not in _FINDS or not classes.isdecimal() or not 0 < len(classes) < 8 or not fits:
            raise UsageError(
                f"the file says that it is a detector, but not what it takes and finds: {foreign(names)}, "
                f"finds {foreign(finds)!r}, classes {foreign(classes)!r}",
                "export it again.",
            )
        _, height, width = inputs.image
        return SessionDetector(
            run, names, (height, width), finds=_FINDS[finds], classes=int(classes), max_batch=inputs.max_batch
        )

    def shapes(self, inputs: InputSpec) -> tuple[tuple[int, ...], ...]:
        """Return the canvas; the sizes within it are the file's own input."""
        return inputs.shapes[:1]

    def remarks(self, model: nn.Module) -> tuple[str, ...]:
        """Say where a graph had more overlapping boxes than it can sort out."""
        if not isinstance(model, SessionDetector) or model.converged:
            return ()
        return (
            "suppression of overlapping boxes did not finish on some images; boxes may differ from "
            "PyTorch's; export with --nms op to be exact",
        )

    def compare(
        self, reference: Runnable, candidate: OpenFile, pair: Pair, images: Images | None
    ) -> ParityReport:
        """Compare what is found, stage by stage where the file can show its inner values."""
        feeds = canvas_noise(pair.inputs) if images is None else list(images)
        return prove_detections(
            reference, candidate, feeds, precision=pair.precision, stages=cast("Stages", pair.exported)
        )


DETECTION: Final = Task(
    data=CocoImages(), learning=DetectorLosses(), scoring=CocoScore(), serving=DetectorFiles()
)

_FINDS: Final[dict[str, Finds]] = {"boxes": "boxes", "masks": "masks", "keypoints": "keypoints"}


def task_of(model: nn.Module) -> Finds:
    """Return what a detector finds besides boxes."""
    if isinstance(model, SessionDetector):
        return model.finds
    heads = model.get_submodule("roi_heads")
    if heads.has_keypoint():  # type: ignore[operator]
        return "keypoints"
    return "masks" if heads.has_mask() else "boxes"  # type: ignore[operator]


def classes_of(model: nn.Module) -> int:
    """Return the number of classes, background included."""
    if isinstance(model, SessionDetector):
        return model.classes
    outputs = model.get_submodule("roi_heads.box_predictor.cls_score").out_features
    assert isinstance(outputs, int)
    return outputs


def detects(name: str) -> bool:
    """Return whether the task of a name finds objects, so that what its models find can be drawn."""
    return name in TASKS and isinstance(TASKS.get(name).serving, DetectorFiles)
