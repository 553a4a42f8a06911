"""What integers cost in accuracy on real images: ``python -m bench.studies.int8.run --shared FOLDER``.

ResNet-56 on CIFAR-10 and SqueezeNet 1.1 on ImageNet images, with published weights, dense and pruned, as ONNX
files in fp32, fp16, int8, and int8 with as many float layers as half a percentage point asks for. Ranges
come from training images, the float layers from validation images, the figures from test images. The
published weights have seen ResNet-56's validation images; SqueezeNet's images are a validation set in three.
"""

import argparse
import csv
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import torch
from PIL import Image
from torch import nn

from bench.environment import environment
from bench.studies.common.accuracy import some_of
from bench.studies.common.pruned import pruned
from bench.studies.common.published import CHECKPOINTS, EPOCH, ROW
from bench.studies.common.results import results_of
from compressor.artifact.weights import load_weights
from compressor.base.errors import ParityError
from compressor.criteria import CRITERIA
from compressor.data import ImageSet, open_data
from compressor.data.images import IndexedSet
from compressor.rates import Budget, PruneRequest
from compressor.training import fine_tune
from compressor.zoo import Architecture, find
from export.backends import BACKENDS, SessionOptions
from export.precision import Int8Settings, int8_auto, to_fp16, to_int8
from export.to_onnx import export_onnx

RESULTS: Final = results_of("int8")
LIMIT = 0.5
CALIBRATION_IMAGES = 512
VALIDATION_IMAGES = 1000
TRAINING_IMAGES = 10_000
"""Of one epoch; enough to see what integers do to a pruned network, not to recover it fully."""
FEW = PruneRequest(target=Budget("params", fraction=0.95), scope="global")
"""What SqueezeNet, which has no norms, survives without fine-tuning, if only half-way."""

SETTINGS = {
    "int8 cpu": Int8Settings(),
    "int8 cpu entropy": Int8Settings(method="entropy"),
    "int8 cpu percentile": Int8Settings(method="percentile"),
    "int8 tensorrt": Int8Settings(runtime="tensorrt"),
}

Row = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A model with the images that quantisation may see, and those it is judged by."""

    name: str
    model: nn.Module
    arch: Architecture
    calibration: ImageSet
    validation: ImageSet
    test: ImageSet


def main() -> None:
    """Quantise all subjects and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path("../shared"), help="folder with data/")
    data: Path = parser.parse_args().shared / "data"
    with tempfile.TemporaryDirectory() as folder:
        subjects = [*resnet56(data, Path(folder)), *squeezenet(data, Path(folder))]
        rows = [row for subject in subjects for row in judged(subject, Path(folder))]
    document = {"limit": LIMIT, "rows": rows, "environment": environment()}
    RESULTS.write_text(json.dumps(document, indent=1) + "\n")


def resnet56(data: Path, folder: Path) -> Iterator[Subject]:
    """ResNet-56, dense, and pruned by a published string with one epoch of fine-tuning on some images."""
    file = folder / "cifar10.npz"
    subprocess.run([sys.executable, str(data / "unpack_cifar10.py"), str(file)], check=True)
    arch = find("resnet56_cifar")
    model = arch.build()
    load_weights(model, data / "weights" / CHECKPOINTS[arch.name][0], arch)
    splits = open_data(f"npz:{file}", arch.input)
    small = pruned(arch, model, ROW)
    assert isinstance(splits.train, IndexedSet)
    fine_tune(small, replace(splits, train=some_of(splits.train, TRAINING_IMAGES, 0)), EPOCH)
    for name, subject in (("resnet56", model), ("resnet56 pruned", small)):
        yield Subject(
            name=name, model=subject, arch=arch, calibration=splits.train, validation=splits.val,
            test=splits.test,
        )  # fmt: skip


def squeezenet(data: Path, folder: Path) -> Iterator[Subject]:
    """SqueezeNet 1.1, dense, and pruned a little: there are no training images to recover it with."""
    parts = _thirds(data / "imagenet_val650", folder)
    arch = find("squeezenet1_1").with_options(shapes=((3, 227, 227),))
    model = arch.build()
    load_weights(model, data / "weights" / "squeezenet1_1_imagenet_fp16.pth", arch)
    calibration, validation, test = (open_data(f"npz:{f}", arch.input, classes=1000).test for f in parts)
    batches = calibration.batches(20, device=torch.device("cpu"))
    small = pruned(arch, model, FEW, criterion=CRITERIA.get("taylor")(), batches=batches)
    for name, subject in (("squeezenet1_1", model), ("squeezenet1_1 pruned", small)):
        yield Subject(
            name=name, model=subject, arch=arch, calibration=calibration, validation=validation, test=test
        )  # fmt: skip


def _thirds(images: Path, folder: Path) -> list[Path]:
    """Cut the images, shuffled, into 100 for ranges, 250 for validation and the rest for the figures."""
    rows = list(csv.reader((images / "labels.csv").open()))
    pixels = np.stack([np.asarray(Image.open(images / "images" / r[0]).convert("RGB")) for r in rows])
    labels = np.array([int(r[1]) for r in rows])
    files = []
    for number, part in enumerate(np.split(np.random.default_rng(0).permutation(len(rows)), [100, 350])):
        files.append(folder / f"imagenet{number}.npz")
        # A few stand in for a train split, which nothing here reads.
        np.savez(
            files[-1], x_train=pixels[:20], y_train=labels[:20], x_test=pixels[part], y_test=labels[part],
            classes=1000,
        )  # fmt: skip
    return files


def judged(subject: Subject, folder: Path) -> Iterator[Row]:
    """Write a model in every precision and score each file on the test images."""
    stem = subject.name.replace(" ", "_")
    source = folder / f"{stem}.onnx"
    export_onnx(subject.model, subject.arch.input, source, metadata={})
    yield _row(subject, "fp32", source, {})
    target = folder / f"{stem}.fp16.onnx"
    yield _row(subject, "fp16", target, {"share": to_fp16(source, target).share})
    for name, settings in SETTINGS.items():
        target = folder / f"{stem}.{name.replace(' ', '.')}.onnx"
        started = time.perf_counter()
        report = to_int8(source, target, _calibration(subject), settings)
        seconds = time.perf_counter() - started
        yield _row(subject, name, target, {"share": report.share, "quantised_in_s": seconds})
    yield _automatic(subject, source, folder / f"{stem}.auto.onnx")


def _automatic(subject: Subject, source: Path, target: Path) -> Row:
    started = time.perf_counter()
    score = _scorer(subject.validation, VALIDATION_IMAGES)
    try:
        report = int8_auto(source, target, _calibration(subject), score, LIMIT)
    except ParityError as error:
        return {"model": subject.name, "precision": "int8 auto", "refused": str(error)}
    found: Row = {
        "share": report.precision.share, "kept_float": report.kept_float, "scored_files": report.scored,
        "validation_fp32": report.fp32_score, "validation_int8": report.int8_score,
        "quantised_in_s": time.perf_counter() - started,
    }  # fmt: skip
    return _row(subject, "int8 auto", target, found)


def _calibration(subject: Subject) -> Iterator[np.ndarray]:
    return (images for images, _ in _some(subject.calibration, CALIBRATION_IMAGES))


def _some(images: ImageSet, count: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield batches of 50 until ``count`` images have come."""
    seen = 0
    for batch, labels in images.batches(50, device=torch.device("cpu")):
        if seen >= count:
            return
        seen += len(labels)
        yield batch.numpy(), labels.numpy()


def _scorer(images: ImageSet, count: int) -> Callable[[Path], float]:
    def top1(path: Path) -> float:
        right = []
        with BACKENDS.get("onnxruntime").open(path, SessionOptions()) as session:
            for batch, labels in _some(images, count):
                scores = session.run({"input": batch})["output"]
                right.append(np.asarray(scores).argmax(axis=1) == labels)
        return 100 * float(np.concatenate(right).mean())

    return top1


def _row(subject: Subject, precision: str, path: Path, extra: Row) -> Row:
    top1 = _scorer(subject.test, len(subject.test))(path)
    row: Row = {
        "model": subject.name, "precision": precision, "top1": top1, "images": len(subject.test),
        "bytes": path.stat().st_size, **extra,
    }  # fmt: skip
    print(row, flush=True)
    return row


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
