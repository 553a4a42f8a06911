"""One long run: ``OMP_NUM_THREADS=1 python -m bench.studies.trained_half.run --shared FOLDER``.

ResNet-56 with its published weights on CIFAR-10, cut by ``surgeon`` to half of its multiply-adds, repaired on
2,048 training images, then distilled from the dense network over the whole training split. Nothing is held
out and nothing is chosen: the last epoch counts, and the test images are scored once, at its end.

A cycle is one cosine from ``RECIPE.lr`` to zero, about an hour and a half of one core. The first starts from
the repaired network, a later one from what the last one left under ``examples/``, with its own order of
images.
Within a cycle a run that was stopped goes on after its last epoch: checkpoints lie under ``--work``.
"""

import argparse
import json
import logging
import shutil
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import torch

from bench.environment import environment
from bench.studies.common.cells import say
from bench.studies.common.cifar import Subject, fast, opened
from bench.studies.common.results import results_of
from compressor.artifact import Artifact
from compressor.methods import method_of, prune
from compressor.rates import PruneRequest, Published
from compressor.repairing import RepairSettings, repair
from compressor.repairing.images import repair_images
from compressor.tasks.recipe import Recipe
from compressor.tasks.scores import Moment
from compressor.tasks.task import calibration
from compressor.training import evaluate, fine_tune

RESULTS: Final = results_of("trained_half")
KEPT: Final = Path(__file__).parents[3] / "examples" / "resnet56-half"
RATES: Final = "[0.]+[0.15]*2+[0.4]*27"
METHOD: Final = f"surgeon, {RATES}"
IMAGES: Final = 2048
RECIPE: Final = Recipe(epochs=6, lr=0.02, batch_size=128, weight_decay=2e-4, distill=0.9)
DATA: Final = "npz:cifar10.npz"
SCHEMA_VERSION: Final = 1

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Cycle:
    """One cosine of training.

    Attributes:
        subject: the dense network and its data.
        number: counted from 1.
        work: folder for what it starts from, and its checkpoints.
    """

    subject: Subject
    number: int
    work: Path

    def run(self) -> Row:
        """Train, score, and leave the artifact under ``examples/``."""
        start = self.start()
        before, begun = _top1(start, self.subject), time.perf_counter()
        say(f"cycle {self.number}: {before['top1']:.2f} % before it")
        made = self.trained(start)
        score = evaluate(fast(made.module), self.subject.data.test, batch_size=250)
        _replace(made.scored(Moment("test", "fine-tuned"), score, DATA))
        return {
            "cycle": self.number,
            "before": before,
            "after": asdict(score),
            "seconds_since_resumed": round(time.perf_counter() - begun),
            "log": _epochs(self.work / f"cycle-{self.number}" / "log.jsonl"),
        }

    def start(self) -> Artifact:
        """Return the network that the cycle starts from."""
        path = self.work / f"start-{self.number}"
        if not path.exists():
            (Artifact.load(KEPT) if self.number > 1 else self.repaired()).save(path)
        return Artifact.load(path)

    def repaired(self) -> Artifact:
        """Return the network as it is cut and repaired."""
        dense, data = self.subject.dense, self.subject.data
        request = PruneRequest(target=Published(RATES, "coring"))
        small = prune(dense, request, method_of("surgeon", {}, 0), calibration(data), words=METHOD)
        settings = RepairSettings(images=IMAGES)
        return repair(dense, small, repair_images(data, IMAGES), settings=settings, say=say)

    def trained(self, start: Artifact) -> Artifact:
        """Return it at the end of the cycle."""
        recipe = replace(RECIPE, seed=self.number - 1)
        model, teacher = fast(start.module), fast(self.subject.dense.module)
        folder = self.work / f"cycle-{self.number}"
        data = self.subject.data.unvalidated()
        fine_tune(model, data, recipe, run_dir=folder, teacher=teacher, resume=True)
        module = model.to(memory_format=torch.contiguous_format)
        came_from = self.subject.dense.manifest.weights_from
        papers = replace(start.manifest, recipe=recipe, data=DATA, weights_from=came_from, method=METHOD)
        return replace(start, module=module, manifest=papers)


def main() -> None:
    """Run the cycle that comes next, or go on with it."""
    args = _arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    document: Row = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"cycles": []}
    with tempfile.TemporaryDirectory() as folder:
        subject = opened(args.shared / "data", Path(folder) / "cifar10.npz")
        found = Cycle(subject, len(document["cycles"]) + 1, args.work).run()
    document["cycles"].append(found)
    head = {
        "schema_version": SCHEMA_VERSION,
        "rates": RATES,
        "repair_images": IMAGES,
        "recipe": asdict(RECIPE),
        "dense": _top1(subject.dense, subject),
        "cost_before": asdict(subject.dense.manifest.cost_after),
        "cost_after": asdict(Artifact.load(KEPT).manifest.cost_after),
        "threads": torch.get_num_threads(),
        "environment": environment(),
    }
    RESULTS.write_text(json.dumps({**head, **document}, indent=1) + "\n")
    say(f"{found['after']['top1']:.2f} % after it")


def _top1(artifact: Artifact, subject: Subject) -> Row:
    return asdict(evaluate(fast(artifact.module), subject.data.test, batch_size=250))


def _epochs(log: Path) -> list[Row]:
    wanted = ("epoch", "lr", "train_loss", "seconds", "images_per_s")
    return [{k: row[k] for k in wanted} for row in map(json.loads, log.read_text().splitlines())]


def _replace(artifact: Artifact) -> None:
    """Write the artifact beside the one that is kept, then take its place."""
    new = KEPT.with_name(f"{KEPT.name}.new")
    artifact.save(new)
    if KEPT.exists():
        shutil.rmtree(KEPT)
    new.rename(KEPT)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path("../shared"), help="folder with data/")
    parser.add_argument("--work", type=Path, default=Path("runs/trained_half"), help="start and checkpoints")
    return parser.parse_args()


if __name__ == "__main__":
    main()
