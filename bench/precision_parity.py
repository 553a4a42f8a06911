"""Every named model as an fp32, fp16 and int8 file: ``python -m bench.precision_parity --shared FOLDER``.

Each file goes the way of ``compress export``: converted, checked by ONNX's checker, run in ONNX Runtime and
compared with PyTorch by the limits of `export.parity` and `export.parity_detections`. Weights are random;
batch norms have the statistics of their inputs; detectors are stretched so that they find many objects, and
their residual branches are small, or rounding would decide what they find.
Classifiers are compared on noise; for int8 and detectors, ranges and comparison come from COCO images.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN
from torchvision.models.mobilenetv3 import InvertedResidual
from torchvision.models.resnet import Bottleneck

from bench.environment import environment
from bench.lively import enlivened
from compressor.artifact import Manifest, unpruned
from compressor.errors import ParityError
from compressor.zoo import Architecture, find
from detection.coco import open_coco
from detection.predict import canvas_feed
from export.deploy import Calibration, Deployed, DeploySettings, Precision, deploy
from export.model_io import example_arrays
from export.precision.calibration import Feeds

RESULTS: Final = Path(__file__).parent / "results" / "precision_parity.json"
CLASSIFIERS: Final = (
    "resnet50", "mobilenet_v2", "densenet121", "googlenet", "resnet20_cifar", "resnet32_cifar",
    "resnet44_cifar", "resnet56_cifar", "vgg16_bn_cifar", "densenet40_cifar", "googlenet_cifar",
    "mobilenet_v2_cifar",
)  # fmt: skip
DETECTORS: Final = (
    "fasterrcnn_resnet50_fpn", "fasterrcnn_resnet50_fpn_v2", "fasterrcnn_mobilenet_v3_large_fpn",
    "maskrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn_v2", "keypointrcnn_resnet50_fpn",
)  # fmt: skip
PRECISIONS: Final[tuple[Precision, ...]] = ("fp32", "fp16", "int8")
CANVAS: Final = (320, 416)
BOXES: Final = {"rpn_post_nms_top_n_test": 300, "box_detections_per_img": 20}
RESIDUAL: Final = 0.2
"""Size of a residual branch of a random detector, as a share of what it adds to."""

SUREST: Final = 4.0
"""Largest class logit of a random detector on these images."""

_IMAGES: Final = 16
_BATCH: Final = 2

Row = dict[str, Any]


def main() -> None:
    """Make all files; the results are written after each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path("../shared"), help="folder with data/")
    parser.add_argument("--only", default="", help="models whose name contains this")
    arguments = parser.parse_args()
    images = _images(arguments.shared / "data" / "coco_small")
    document = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"rows": []}
    for name in (*CLASSIFIERS, *DETECTORS):
        if arguments.only in name:
            document["rows"] = [row for row in document["rows"] if row["model"] != name]
            document["rows"] += rows_of(name, images)
            document["environment"] = environment()
            RESULTS.write_text(json.dumps(document, indent=1) + "\n")


def rows_of(name: str, images: Sequence[torch.Tensor]) -> Iterator[Row]:
    """Yield one row per precision."""
    torch.manual_seed(0)
    model, arch = _detector(name, images) if name in DETECTORS else _classifier(name)
    manifest = unpruned(model, arch, weights_from="random initialisation")
    feeds = _canvases(images) if name in DETECTORS else _noise(arch)
    for precision in PRECISIONS:
        calibration = Calibration(batches=feeds) if precision == "int8" or name in DETECTORS else None
        settings = DeploySettings(precision=precision, calibration=calibration, threads=2)
        yield _row(name, model, manifest, settings)


def _row(name: str, model: nn.Module, manifest: Manifest, settings: DeploySettings) -> Row:
    started = time.perf_counter()
    row: Row = {"model": name, "precision": settings.precision}
    with tempfile.TemporaryDirectory() as folder:
        try:
            row |= _facts(deploy(model, manifest, Path(folder) / "m.onnx", settings))
        except ParityError as error:
            row["refused"] = str(error)
    row["seconds"] = time.perf_counter() - started
    print(row, flush=True)
    return row


def _facts(deployed: Deployed) -> Row:
    parity, layers = deployed.parity, deployed.precision
    return {
        "bytes": deployed.file.bytes, "nodes": deployed.file.nodes,
        "difference": parity.max_relative_difference, "limit": parity.limit,
        "detections": parity.detections, "layers": layers.nodes if layers else None,
        "converted": layers.converted if layers else None,
    }  # fmt: skip


def _classifier(name: str) -> tuple[nn.Module, Architecture]:
    arch = find(name)
    model = arch.build()
    model.train()
    with torch.no_grad():
        for seed in range(8):  # statistics without which a deep random network is all rounding
            model(*arch.example(batch=4, seed=seed))
    return model.eval(), arch


def _detector(name: str, images: Sequence[torch.Tensor]) -> tuple[nn.Module, Architecture]:
    arch = find(name).with_options(BOXES, ((3, *CANVAS),))
    model = arch.build()
    assert isinstance(model, GeneralizedRCNN)
    _damp(model)
    return enlivened(model, images=images, surest=SUREST), arch


def _damp(model: nn.Module) -> None:
    """Make residual branches small; at full size, random ones amplify every rounding error."""
    ends = [block.bn3 for block in model.modules() if isinstance(block, Bottleneck)]
    blocks = [block for block in model.modules() if isinstance(block, InvertedResidual)]
    ends += [list(block.modules())[-1] for block in blocks if block.use_res_connect]
    for norm in ends:
        norm.weight.data.mul_(RESIDUAL)


def _noise(arch: Architecture) -> list[Feeds]:
    return [_feed(example_arrays(arch.input, _BATCH, seed=(1, case))) for case in range(_IMAGES // _BATCH)]


def _feed(arrays: Sequence[NDArray[Any]]) -> tuple[NDArray[np.float32], ...]:
    return tuple(array.astype(np.float32) for array in arrays)


def _canvases(images: Sequence[torch.Tensor]) -> list[Feeds]:
    starts = range(0, len(images), _BATCH)
    return [canvas_feed(images[start : start + _BATCH], CANVAS)[1] for start in starts]


def _images(folder: Path) -> list[torch.Tensor]:
    split = open_coco(str(folder), "boxes", classes=91).train
    return [batch.images[0] for batch in islice(split.batches(1, device=torch.device("cpu")), _IMAGES)]


if __name__ == "__main__":
    main()
