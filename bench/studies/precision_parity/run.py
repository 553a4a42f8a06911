"""Every named model as an fp32, fp16 and int8 file.

``python -m bench.studies.precision_parity.run --shared FOLDER`` makes them. Each file goes the way of
``compress export``: converted, checked by ONNX's checker, run in ONNX Runtime and compared with PyTorch by
the limits of `compressor.tasks.parity` and `detection.parity`. CIFAR networks have published weights, or
those of a short epoch; the other classifiers random ones, with batch norms that know the statistics of their
inputs. Classifiers are compared on noise, in int8 on what ranges were measured on: CIFAR's training images,
or noise. Detectors have learned a handful of images by heart (`bench.studies.common.learned`): ranges,
comparison and average precision are of those.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from bench.environment import environment
from bench.studies.common.accuracy import some_of, tuned
from bench.studies.common.learned import learned
from bench.studies.common.published import CHECKPOINTS
from bench.studies.common.results import results_of
from compressor.artifact import Artifact
from compressor.artifact.weights import load_weights
from compressor.base.errors import ParityError
from compressor.data import open_data
from compressor.data.images import IndexedSet
from compressor.tasks.examples import example_arrays
from compressor.tasks.opened import Precision
from compressor.tasks.recipe import Recipe
from compressor.tasks.scores import Moment
from compressor.zoo import find
from detection.coco import CocoSet
from detection.task import DETECTION
from export.backends import BACKENDS, SessionOptions
from export.deploy import Calibration, Deployed, DeploySettings, deploy
from export.metadata import read_exported
from export.precision.calibration import Feeds

RESULTS: Final = results_of("precision_parity")
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
SHORT: Final = Recipe(epochs=1, lr=0.05, batch_size=32)
SHORT_IMAGES: Final = 2560

_IMAGES: Final = 16
_BATCH: Final = 2

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A model to be written in all precisions.

    Attributes:
        artifact: it.
        feeds: what ranges are measured on, and int8 files and detectors compared.
        images: what the files of a detector are scored on, None for a classifier.
    """

    artifact: Artifact
    feeds: Sequence[Feeds]
    images: CocoSet | None = None


def main() -> None:
    """Make all files; the results are written after each model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path("../shared"), help="folder with data/")
    parser.add_argument("--work", type=Path, default=Path("runs/precision"), help="what was trained, kept")
    parser.add_argument("--only", default="", help="models whose name contains this")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    rows = json.loads(RESULTS.read_text())["rows"] if RESULTS.exists() else []
    found = {name: [row for row in rows if row["model"] == name] for name in (*CLASSIFIERS, *DETECTORS)}
    for name in (name for name in found if arguments.only in name):
        torch.manual_seed(0)
        subject = _subject(name, arguments.shared / "data", arguments.work)
        found[name] = [_row(name, subject, precision) for precision in PRECISIONS]
        document = {"rows": [row for rows in found.values() for row in rows], "environment": environment()}
        RESULTS.write_text(json.dumps(document, indent=1) + "\n")


def _subject(name: str, data: Path, work: Path) -> Subject:
    if name in DETECTORS:
        return _detector(name, data / "coco_small", work)
    return _cifar(name, data, work) if name.endswith("_cifar") else _random(name)


def _row(name: str, subject: Subject, precision: Precision) -> Row:
    started = time.perf_counter()
    row: Row = {"model": name, "precision": precision, "weights": subject.artifact.manifest.weights_from}
    on_feeds = precision == "int8" or subject.images is not None
    calibration = Calibration(batches=subject.feeds) if on_feeds else None
    settings = DeploySettings(precision=precision, calibration=calibration, threads=2)
    with tempfile.TemporaryDirectory() as folder:
        try:
            deployed = deploy(subject.artifact, Path(folder) / "m.onnx", settings)
            row |= _facts(deployed) | _precision_of(deployed.file.path, subject)
        except ParityError as error:
            row["refused"] = str(error)
    row["seconds"] = time.perf_counter() - started
    print(row, flush=True)
    return row


def _precision_of(path: Path, subject: Subject) -> Row:
    """Return the average precision of a detector's file, and PyTorch's."""
    if subject.images is None:
        return {}
    with BACKENDS.get("onnxruntime").open(path, SessionOptions(threads=2)) as session:
        file = read_exported(path)
        inputs, properties = file.input(), file.properties
        model = DETECTION.serving.remote(session.run, session.input_names, inputs, properties)
        score = DETECTION.scoring.score(model, subject.images)
    pytorch_score = asdict(subject.artifact.manifest.scores[Moment("train")])
    return {"score": asdict(score), "pytorch_score": pytorch_score}


def _facts(deployed: Deployed) -> Row:
    parity, layers = deployed.parity, deployed.precision
    return {
        "bytes": deployed.file.bytes, "nodes": deployed.file.nodes,
        "difference": parity.max_relative_difference, "limit": parity.limit,
        "detections": parity.detections, "layers": layers.nodes if layers else None,
        "converted": layers.converted if layers else None,
    }  # fmt: skip


def _random(name: str) -> Subject:
    """Return a classifier with random weights, and statistics without which it would be all rounding."""
    arch = find(name)
    model = arch.build()
    model.train()
    with torch.no_grad():
        for seed in range(8):
            model(*arch.example(batch=4, seed=seed))
    arrays = (example_arrays(arch.input, _BATCH, seed=(1, case)) for case in range(_IMAGES // _BATCH))
    feeds = [tuple(array.astype(np.float32) for array in feed) for feed in arrays]
    return Subject(artifact=Artifact.of(model.eval(), arch), feeds=feeds)


def _cifar(name: str, data: Path, work: Path) -> Subject:
    """Return a CIFAR network with its published weights, or after a short epoch, and training images."""
    arch = find(name)
    model = arch.build()
    splits = open_data(f"npz:{_unpacked(data, work)}", arch.input)
    assert isinstance(splits.train, IndexedSet)
    assert isinstance(splits.val, IndexedSet)
    weights = CHECKPOINTS[name][0] if name in CHECKPOINTS else "a short epoch"
    if name in CHECKPOINTS:
        load_weights(model, data / "weights" / weights, arch)
    else:
        few = some_of(splits.train, SHORT_IMAGES, 0)
        tuned(model, replace(splits, train=few, val=some_of(splits.val, _IMAGES, 0)), SHORT)
    batches = splits.train.batches(_BATCH, device=torch.device("cpu"))
    feeds = [(images.numpy(),) for images, _ in islice(batches, _IMAGES // _BATCH)]
    return Subject(artifact=Artifact.of(model.eval(), arch, weights), feeds=feeds)


def _unpacked(data: Path, work: Path) -> Path:
    file = work / "cifar10.npz"
    if not file.exists():
        subprocess.run([sys.executable, str(data / "unpack_cifar10.py"), str(file)], check=True)
    return file


def _detector(name: str, coco: Path, work: Path) -> Subject:
    known = learned(name, coco, work)
    batches = known.images.batches(_BATCH, device=torch.device("cpu"))
    feeds = [DETECTION.data.feeds(batch, known.artifact.input) for batch in batches]
    return Subject(artifact=known.artifact, feeds=feeds, images=known.images)


if __name__ == "__main__":
    main()
