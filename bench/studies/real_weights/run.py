"""Published weights on real images: ``python -m bench.studies.real_weights.run --shared FOLDER``.

Three questions. Do the published CIFAR-10 checkpoints score what their authors say? What does pruning cost
ResNet-56 before and after one epoch of fine-tuning? What does removing a fifth of every group cost SqueezeNet
1.1 on ImageNet images without any fine-tuning? Nothing here chooses anything on test images.
"""

import argparse
import csv
import json
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Final

import numpy as np
import torch
from PIL import Image

from bench.environment import environment
from bench.studies.common.pruned import pruned
from bench.studies.common.published import CHECKPOINTS, EPOCH, ROW
from bench.studies.common.results import results_of
from compressor.artifact.weights import load_weights
from compressor.channels.cost import measure
from compressor.data import open_data
from compressor.rates import PruneRequest, Share
from compressor.tasks.scores import Accuracy
from compressor.training import evaluate, fine_tune
from compressor.zoo import find

RESULTS: Final = results_of("real_weights")
FIFTH = PruneRequest(target=Share(0.2))

Row = dict[str, object]


def main() -> None:
    """Run all three and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path("../shared"), help="folder with data/")
    data: Path = parser.parse_args().shared / "data"
    with tempfile.TemporaryDirectory() as folder:
        cifar, imagenet = Path(folder) / "cifar10.npz", Path(folder) / "imagenet.npz"
        subprocess.run([sys.executable, str(data / "unpack_cifar10.py"), str(cifar)], check=True)
        document = {
            "published": [published(name, data, cifar) for name in CHECKPOINTS],
            "resnet56": resnet56(data, cifar),
            "squeezenet1_1": squeezenet(data, imagenet),
            "environment": environment(),
        }
    RESULTS.write_text(json.dumps(document, indent=1) + "\n")


def published(name: str, data: Path, cifar: Path) -> Row:
    """Score one published checkpoint."""
    file, claimed = CHECKPOINTS[name]
    arch = find(name)
    model = arch.build()
    load_weights(model, data / "weights" / file, arch)
    score = evaluate(model, open_data(f"npz:{cifar}", arch.input).test)
    return _said({"model": name, "published_top1": claimed, **asdict(score)})


def resnet56(data: Path, cifar: Path) -> Row:
    """Prune ResNet-56 by a published string, fine-tune one epoch, and score every moment."""
    arch = find("resnet56_cifar")
    model = arch.build()
    load_weights(model, data / "weights" / CHECKPOINTS[arch.name][0], arch)
    splits = open_data(f"npz:{cifar}", arch.input)
    small = pruned(arch, model, ROW)
    cost = measure(small, arch.example())
    scores = {"dense": evaluate(model, splits.test), "pruned": evaluate(small, splits.test)}
    fine_tune(small, splits, EPOCH)
    scores["fine-tuned one epoch"] = evaluate(small, splits.test)
    return _said(
        {"rates": ROW.describe(), "cost": asdict(cost), "top1": _top1(scores), "recipe": asdict(EPOCH)}
    )


def squeezenet(data: Path, file: Path) -> Row:
    """Remove a fifth of every group of SqueezeNet 1.1 and score it as it is."""
    _imagenet(data / "imagenet_val650", file)
    arch = find("squeezenet1_1").with_options(shapes=((3, 227, 227),))
    model = arch.build()
    load_weights(model, data / "weights" / "squeezenet1_1_imagenet_fp16.pth", arch)
    images = open_data(f"npz:{file}", arch.input, classes=1000).test
    small = pruned(arch, model, FIFTH)
    cost = measure(small, arch.example())
    scores = {"dense": evaluate(model, images), "pruned": evaluate(small, images)}
    top5 = {name: score.top5 for name, score in scores.items()}
    return _said({"cost": asdict(cost), "top1": _top1(scores), "top5": top5, "images": len(images)})


def _imagenet(folder: Path, file: Path) -> None:
    """Write the images as npz; a few stand in for a train split, which nothing here reads."""
    rows = list(csv.reader((folder / "labels.csv").open()))
    images = np.stack([np.asarray(Image.open(folder / "images" / row[0]).convert("RGB")) for row in rows])
    labels = np.array([int(row[1]) for row in rows])
    np.savez(file, x_train=images[:20], y_train=labels[:20], x_test=images, y_test=labels, classes=1000)


def _top1(scores: dict[str, Accuracy]) -> dict[str, float]:
    return {name: score.top1 for name, score in scores.items()}


def _said(row: Row) -> Row:
    print(row, flush=True)
    return row


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
