"""What merging is worth before any training: ``python -m bench.studies.merging.run --shared FOLDER``.

ResNet-56 with its published weights on CIFAR-10, scored as it was cut: at two of CORING's published rates and
at Central Filter's own, which spare the residual stages. Central Filter looks at training images only, three
draws of them; how its deleted channels are delegated is all that differs between its rows, and in the last
of them they are dropped, so that choosing and merging can be told apart.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Final

import torch

from bench.environment import environment
from bench.studies.common.accuracy import some_of
from bench.studies.common.dropped import Dropped
from bench.studies.common.pruned import pruned
from bench.studies.common.published import CHECKPOINTS
from bench.studies.common.results import results_of
from compressor.artifact.weights import load_weights
from compressor.channels.cost import measure
from compressor.criteria import Criterion
from compressor.criteria.l1 import L1
from compressor.data import DataSplits, open_data
from compressor.data.images import IndexedSet
from compressor.methods.central_filter import CentralFilter
from compressor.rates import PruneRequest, Published
from compressor.tasks.task import Batch
from compressor.training import evaluate
from compressor.zoo import find

RESULTS: Final = results_of("merging")
SCHEMA_VERSION: Final = 1
ARCH: Final = "resnet56_cifar"
RATES: Final = (
    Published("[0.]+[0.18]*29", "coring"),
    Published("[0.]+[0.15]*2+[0.4]*27", "coring"),
    Published("[0.]+[0.2,0.]*9+[0.3,0.]*9+[0.4,0.]*9", "central-filter"),
    Published("[0.]+[0.3,0.]*9+[0.4,0.]*9+[0.5,0.]*9", "central-filter"),
)
CALIBRATION: Final = 512
SEEDS: Final = 3
_BATCH: Final = 64
_TEST: Final = 2000


CRITERIA: Final[Mapping[str, Criterion]] = {
    "l1, dropped": L1(),
    "central_filter, faithful": CentralFilter(mode="faithful"),
    "central_filter, root": CentralFilter(mode="root"),
    "central_filter, dropped": Dropped(),
}


def main() -> None:
    """Score everything and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path("../shared"), help="folder with data/")
    data: Path = parser.parse_args().shared / "data"
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        cifar = Path(folder) / "cifar10.npz"
        subprocess.run([sys.executable, str(data / "unpack_cifar10.py"), str(cifar)], check=True)
        splits = open_data(f"npz:{cifar}", find(ARCH).input)
        rows = list(scored(data / "weights" / CHECKPOINTS[ARCH][0], splits))
    document = {
        "schema_version": SCHEMA_VERSION,
        "model": ARCH,
        "calibration_images": CALIBRATION,
        "rows": rows,
        "environment": environment(),
    }
    RESULTS.write_text(json.dumps(document, indent=1) + "\n")


def scored(weights: Path, splits: DataSplits) -> Iterator[dict[str, object]]:
    """Score the dense model, then every rate and criterion; nothing is trained."""
    arch = find(ARCH)
    model = arch.build()
    load_weights(model, weights, arch)
    assert isinstance(splits.test, IndexedSet)
    test = some_of(splits.test, _TEST, seed=0)
    yield _said({"method": "dense", **asdict(evaluate(model, test))})
    for seed, rates, (name, criterion) in product(range(SEEDS), RATES, CRITERIA.items()):
        if seed == 0 or criterion.needs:  # others see no images
            small = pruned(
                arch, model, PruneRequest(target=rates), criterion=criterion, batches=calibrated(splits, seed)
            )
            row = {"method": name, "rates": rates.text, "layout": rates.layout, "seed": seed}
            cost = asdict(measure(small, arch.example()))
            yield _said({**row, **asdict(evaluate(small, test)), "cost": cost})


def calibrated(splits: DataSplits, seed: int) -> Iterator[Batch]:
    """Return some training images."""
    assert isinstance(splits.train, IndexedSet)
    return some_of(splits.train, CALIBRATION, seed).batches(_BATCH, device=torch.device("cpu"))


def _said(row: dict[str, object]) -> dict[str, object]:
    print(row, flush=True)
    return row


if __name__ == "__main__":
    main()
