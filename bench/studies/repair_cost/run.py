"""What repair takes: ``python -m bench.studies.repair_cost.run --shared FOLDER``.

ResNet-50 at 224x224, and Faster R-CNN whose fc6 reads 12,544 inputs, both with random weights: how long a
repair takes and how much memory does not depend on what they are. Models are cut and saved first; the repair
is all that a fresh process does, and the largest resident set of that process is what is reported. Beside
the seconds that passed stand those that its threads computed, which a busy machine does not stretch.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from bench.environment import environment
from bench.studies.common.cells import Kept, Row, say
from bench.studies.common.detectors import FASTER, backbone
from bench.studies.common.imagenet import all_images
from bench.studies.common.published import STRINGS
from bench.studies.common.results import results_of
from compressor.artifact import Artifact
from compressor.data.images import IndexedSet
from compressor.data.sources import ArrayPixels
from compressor.methods import method_of, prune
from compressor.rates import PruneRequest, Published
from compressor.repairing import RepairSettings, repair
from compressor.repairing.norms import estimate_norms
from compressor.zoo import find
from compressor.zoo.inputs import InputSpec

RESULTS: Final = results_of("repair_cost")
SCHEMA_VERSION: Final = 1
SIZES: Final = {"resnet50": (224, 224), FASTER: (480, 640)}
REQUESTS: Final = {"resnet50": PruneRequest(target=Published(STRINGS["A"], "coring")), FASTER: backbone(1)}
"""The detector's is of its backbone's body, so that fc6 keeps all of its inputs."""

_FOR_NORMS: Final = 8


@dataclass(frozen=True, slots=True)
class Cell:
    """One repair."""

    model: str
    images: int
    threads: int


def main() -> None:
    """Run what is not finished; a part of it where this process was started for that."""
    args = _arguments()
    if args.measure:
        _measure(Cell(**json.loads(args.measure)), args.folder, args.shared / "data")
        return
    kept = Kept(RESULTS, {"schema_version": SCHEMA_VERSION, "environment": environment()})
    cells = [Cell(name, count, args.threads) for name, count in (("resnet50", 256), (FASTER, 24))]
    kept.finish([cell for cell in cells if cell.model in args.models], lambda cell: run(cell, args.shared))


def run(cell: Cell, shared: Path) -> Row:
    """Cut and save, then repair in a process of its own."""
    torch.set_num_threads(cell.threads)
    with tempfile.TemporaryDirectory() as folder:
        prepare(cell, Path(folder), shared / "data")
        own = ["--measure", json.dumps(asdict(cell)), "--folder", folder, "--shared", str(shared)]
        command = [sys.executable, "-m", "bench.studies.repair_cost.run", *own]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: Row = json.loads(done.stdout)
    return found


def prepare(cell: Cell, folder: Path, data: Path) -> None:
    """Save a model with random weights and norms that know their inputs, and what is cut of it."""
    torch.manual_seed(0)
    dense = Artifact.of(*_built(cell.model))
    estimate_norms(dense.view, batches(dense, data, _FOR_NORMS), dense.task.scoring.run)
    dense.save(folder / "dense")
    prune(dense, REQUESTS[cell.model], method_of("l1", {}, 0), words="a study").save(folder / "small")
    say(f"{cell.model} is cut")


def _built(name: str) -> tuple[Any, Any]:
    arch = find(name).with_options(shapes=((3, *SIZES[name]),))
    return arch.build(), arch


def batches(artifact: Artifact, data: Path, images: int) -> Iterator[Any]:
    """Return the first images in batches: of ImageNet cut to the input's size, or of COCO."""
    if artifact.manifest.arch == FASTER:
        coco = artifact.task.data.open(f"coco:{data / 'coco_small'}", artifact.input, artifact.module).train
        yield from coco.batches(artifact.task.data.batch_size, device=torch.device("cpu"))
        return
    found = cropped(all_images(data / "imagenet_val650", artifact.input), artifact.input)
    some = replace(found, indices=found.indices[:images])
    yield from some.batches(min(images, 64), device=torch.device("cpu"))


def cropped(images: IndexedSet, inputs: InputSpec) -> IndexedSet:
    """Return the middle of every image, as large as the input."""
    assert isinstance(images.data.pixels, ArrayPixels)
    _, height, width = inputs.image
    top, left = (np.array(images.data.pixels.shape[:2]) - (height, width)) // 2
    pixels = ArrayPixels(images.data.pixels.images[:, top : top + height, left : left + width])
    return replace(images, data=replace(images.data, pixels=pixels))


def _measure(cell: Cell, folder: Path, data: Path) -> None:
    """Repair what was saved, and print what that took."""
    torch.set_num_threads(cell.threads)
    dense, small = Artifact.load(folder / "dense"), Artifact.load(folder / "small")
    settings = RepairSettings(images=cell.images)
    start, computed = time.perf_counter(), time.process_time()
    made = repair(dense, small, batches(dense, data, cell.images), settings=settings, say=say)
    report = made.manifest.repair
    assert report is not None
    found = {
        "seconds": round(time.perf_counter() - start),
        "cpu_seconds": round(time.process_time() - computed),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "size": SIZES[cell.model],
        "images": report.images,
        "macs": [dense.manifest.cost_after.macs, small.manifest.cost_after.macs],
        "layers": [asdict(layer) for layer in report.layers],
        "left": report.left,
    }
    print(json.dumps(found))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path("../shared"), help="folder with data/")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--models", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
