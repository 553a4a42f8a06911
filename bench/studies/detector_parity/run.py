"""The static graph against torchvision, on real images.

``python -m bench.studies.detector_parity.run --coco FOLDER`` compares. Weights are random and stretched, on
training images, so that most images have many detections, which is harsher than trained ones: scores are
nearly tied. Stretched so far that sigmoids reach 1, they would tie, and which hundred are best would be
anyone's choice. Every image is laid on the canvas and given to torchvision's own modules, eagerly, and to the
exported file in ONNX Runtime; detections are then matched: same label, overlap above 0.99, scores within
1e-3.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN

from bench.environment import environment
from bench.studies.common.lively import enlivened
from bench.studies.common.pruned import pruned
from bench.studies.common.results import results_of
from compressor.rates import PruneRequest, Share
from compressor.zoo import Architecture, find
from detection.coco import CocoSet, open_coco
from detection.letterbox import letterbox
from detection.reference import MatchReport, match, reference_detections
from detection.static import StaticDetector, StaticSettings
from detection.static.nms import IteratedSuppression
from export.backends import BACKENDS, Session, SessionOptions
from export.to_onnx import export_onnx

RESULTS: Final = results_of("detector_parity")
RATE: Final = 0.3
SUREST: Final = 6.0
"""Largest class logit on training images."""

LEVERS: Final = {
    "fasterrcnn_resnet50_fpn": {"rpn_post_nms_top_n_test": 200},
    "maskrcnn_resnet50_fpn": {"rpn_post_nms_top_n_test": 200, "box_detections_per_img": 50},
    "keypointrcnn_resnet50_fpn": {"rpn_post_nms_top_n_test": 200, "box_detections_per_img": 10},
}
"""Numbers of boxes, so that the heads behind them take seconds per image, not minutes."""

_STRETCHED_ON = 8  # training images
_COUNTED = 8  # images on which the rounds of suppression are counted, in PyTorch


@dataclass(frozen=True, slots=True, kw_only=True)
class Boxed:
    """A batch of one image on the canvas."""

    canvas: Tensor
    sizes: Tensor


def main() -> None:
    """Compare every model, dense and pruned, and write the results after each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--coco", type=Path, default=Path("../shared/data/coco_small"))
    parser.add_argument("--canvas", default="256x320", help="height x width, multiples of 32")
    parser.add_argument("--images", type=int, default=128)
    parser.add_argument("--only", default="", help="models whose name contains this; other rows are kept")
    arguments = parser.parse_args()
    height, width = (int(n) for n in arguments.canvas.split("x"))
    splits = open_coco(str(arguments.coco), "boxes", classes=91)
    images = list(_images(splits.test, (height, width), arguments.images))
    seen = [_cropped(image) for image in _images(splits.train, (height, width), _STRETCHED_ON)]
    rows = _kept([height, width], arguments.only)
    for name in (name for name in LEVERS if arguments.only in name):
        arch = find(name).with_options(LEVERS[name], ((3, height, width),))
        for kind, make in (("dense", _dense), (f"pruned by {RATE:.0%}", _pruned)):
            row = {"model": name, "kind": kind, **_compared(make(arch, seen), arch, images)}
            print(row, flush=True)
            rows.append(row)
            document = {"canvas": [height, width], "rows": rows, "environment": environment()}
            RESULTS.write_text(json.dumps(document, indent=1) + "\n")


def _kept(canvas: Sequence[int], only: str) -> list[dict[str, object]]:
    """Return the rows of the last run that this one does not measure again, if the canvas is the same."""
    before = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if before.get("canvas") != canvas:
        return []
    return [row for row in before["rows"] if only not in row["model"]]


def _images(split: CocoSet, canvas: tuple[int, int], count: int) -> Iterator[Boxed]:
    for batch in islice(split.batches(1, device=torch.device("cpu")), count):
        one = letterbox(batch.images[0].numpy(), *canvas)
        yield Boxed(canvas=torch.from_numpy(one.canvas)[None], sizes=torch.tensor([one.size]).float())


def _cropped(image: Boxed) -> Tensor:
    rows, columns = (int(n) for n in image.sizes[0])
    return image.canvas[0, :, :rows, :columns]


def _dense(arch: Architecture, seen: Sequence[Tensor]) -> GeneralizedRCNN:
    torch.manual_seed(0)
    return enlivened(arch.build(), images=seen, surest=SUREST)


def _pruned(arch: Architecture, seen: Sequence[Tensor]) -> GeneralizedRCNN:
    model = _dense(arch, seen)
    spec = PruneRequest(target=Share(RATE))
    return enlivened(pruned(arch, model, spec), images=seen, surest=SUREST)


def _compared(model: GeneralizedRCNN, arch: Architecture, images: Sequence[Boxed]) -> dict[str, object]:
    """Return how many detections agree, how far they are apart, and what suppression needed."""
    module, inputs = arch.deployed(model, arch.input)
    rounds = _rounds(module, images[:_COUNTED])
    with tempfile.TemporaryDirectory() as folder:
        file = export_onnx(module, inputs, Path(folder) / "m.onnx", metadata={})
        with BACKENDS.get("onnxruntime").open(file.path, SessionOptions(threads=2)) as session:
            found = [_matched(model, session, image) for image in images]
    reports = [report for report, _ in found]
    matched = sum(report.matched for report in reports)
    longer = sum(max(report.reference, report.found) for report in reports)
    return {
        "images": len(reports), "reference": sum(r.reference for r in reports), "found": longer,
        "fewest_per_image": min(r.reference for r in reports), "matched": matched,
        "share": matched / longer, "max_box_error_px": max(r.max_box_error_px for r in reports),
        "max_score_error": max(r.max_score_error for r in reports),
        "not_converged": sum(not settled for _, settled in found),
        "rounds_allowed": _settings(module).nms_iterations, "rounds_needed": max(rounds),
        "rounds_counted_on": min(_COUNTED, len(images)),
    }  # fmt: skip


def _settings(module: nn.Module) -> StaticSettings:
    assert isinstance(module, StaticDetector)
    return module.settings


def _matched(model: GeneralizedRCNN, session: Session, image: Boxed) -> tuple[MatchReport, bool]:
    (expected,) = reference_detections(model, image.canvas, image.sizes)
    arrays = (image.canvas.numpy(), image.sizes.numpy())
    outputs = session.run(dict(zip(session.input_names, arrays, strict=True)))
    count = int(outputs["num_detections"][0])
    rows = {name: outputs[name][0, :count] for name in ("boxes", "scores", "labels")}
    return match(expected, rows), bool(np.all(outputs["converged"]))


def _rounds(module: nn.Module, images: Sequence[Boxed]) -> list[int]:
    """Return, for every block that was suppressed, after how many rounds nothing changed any more."""
    seen: list[int] = []
    original = IteratedSuppression._fixed_point

    def counting(self: IteratedSuppression, alive: Tensor, over: Tensor) -> tuple[Tensor, Tensor]:
        block = alive.shape[-1]
        keep, needed = alive, 0
        for number in range(block):
            after = torch.relu(alive - keep @ (over * self.upper[:block, :block]))
            if torch.equal(after, keep):
                break
            keep, needed = after, number + 1
        seen.append(needed)
        return original(self, alive, over)

    IteratedSuppression._fixed_point = counting  # type: ignore[method-assign]
    try:
        with torch.inference_mode():
            for image in images:
                module(image.canvas, image.sizes)
    finally:
        IteratedSuppression._fixed_point = original  # type: ignore[method-assign]
    return seen


if __name__ == "__main__":
    main()
