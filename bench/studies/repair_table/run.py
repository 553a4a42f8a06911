"""The table of criteria: ``python -m bench.studies.repair_table.run --shared FOLDER``.

ResNet-56 with its published weights on CIFAR-10, by every registered criterion and by Central Filter: scored
as it was cut, with what was deleted merged into what stayed, repaired without labels, and after one short
epoch of training, from the cut and from the repaired network alike. A seed draws the images that criteria
look at, that repair looks at, and that training learns from. Nothing is chosen on test images.

The most telling cells come first, and every finished one is written at once: a study that is started again
goes on with the first one missing, and with criteria that were registered in the meantime. Networks are kept
under ``--work``, so that none is cut or repaired twice.
"""

import argparse
import copy
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, Final

import torch

from bench.environment import environment
from bench.studies.common.accuracy import CPU, some_of, tuned
from bench.studies.common.cells import Kept, Row, say
from bench.studies.common.cifar import Subject, opened
from bench.studies.common.dropped import Dropped
from bench.studies.common.results import results_of
from compressor.artifact import Artifact
from compressor.criteria import CRITERIA
from compressor.data.images import IndexedSet
from compressor.methods import Method, method_of, prune
from compressor.methods.ranked import Ranked
from compressor.rates import PruneRequest, Published
from compressor.repairing import RepairSettings, repair
from compressor.repairing.images import repair_images
from compressor.tasks.recipe import Recipe
from compressor.training import evaluate

RESULTS: Final = results_of("repair_table")
SCHEMA_VERSION: Final = 1
CORING: Final = ("[0.]+[0.18]*29", "[0.]+[0.15]*2+[0.4]*27")
CENTRAL: Final = ("[0.]+[0.2,0.]*9+[0.3,0.]*9+[0.4,0.]*9", "[0.]+[0.3,0.]*9+[0.4,0.]*9+[0.5,0.]*9")
MERGING: Final = ("central_filter, faithful", "central_filter, root")
IMAGES: Final = 512
OTHER_IMAGES: Final = (128, 2048)
SEEDS: Final = 3
STRENGTH: Final = 0.01
"""Of the ridge: choosing it per layer takes twice the time and scored no better in the study of repair."""

LOOKED: Final = 128
RECIPE: Final = Recipe(epochs=1, lr=0.01, batch_size=64, weight_decay=5e-4)
LEARNED: Final = 5000
_BATCH: Final = 64


@dataclass(frozen=True, slots=True)
class Cell:
    """One point.

    Attributes:
        rates: what is removed, in CORING's layout or Central Filter's.
        method: name of a criterion, or a way to merge.
        images: that repair looks at; 0 does not repair.
        tuned: whether it is trained for an epoch afterwards.
        seed: of all images that are drawn.
    """

    rates: str
    method: str
    images: int = IMAGES
    tuned: bool = False
    seed: int = 0


def methods() -> list[str]:
    """Return every registered criterion, l1 first, and the ways to merge."""
    return [*sorted(CRITERIA, key=lambda name: (name != "l1", name)), *MERGING]


def cells() -> Iterator[Cell]:
    """Return all cells in the order of work, the most telling first."""
    for rates, name in product(CORING, methods()):
        yield Cell(rates, name)
    for images, rates in product(OTHER_IMAGES, CORING):
        yield Cell(rates, "l1", images=images)
    for rates, name in product(CENTRAL, methods()):
        yield Cell(rates, name)
    for pair, images in product((CORING, CENTRAL), (IMAGES, 0)):
        for rates, name in product(pair, methods()):
            yield Cell(rates, name, images=images, tuned=True)
    for seed, images in product(range(1, SEEDS), (IMAGES, *OTHER_IMAGES)):
        for rates, name in product(CORING + CENTRAL, methods() if images == IMAGES else ["l1"]):
            yield Cell(rates, name, images=images, seed=seed)


def main() -> None:
    """Run what is not finished."""
    args = _arguments()
    torch.set_num_threads(1)
    head = {
        "schema_version": SCHEMA_VERSION,
        "threads": 1,
        "strength": STRENGTH,
        "looked": LOOKED,
        "learned": LEARNED,
        "recipe": asdict(RECIPE),
        "wanted": [asdict(cell) for cell in cells()],
        "environment": environment(),
    }
    kept = Kept(RESULTS, head)
    with tempfile.TemporaryDirectory() as folder:
        subject = opened(args.shared / "data", Path(folder) / "cifar10.npz")
        table = Table(subject, kept, args.work)
        kept.document.setdefault("dense", table.scored(subject.dense))
        chosen = [cell for cell in cells() if not args.methods or cell.method in args.methods]
        kept.finish(chosen, table.run)


@dataclass(frozen=True, slots=True)
class Table:
    """What the cells have in common.

    Attributes:
        subject: what is cut.
        kept: what was finished.
        work: folder of networks.
    """

    subject: Subject
    kept: Kept
    work: Path

    def run(self, cell: Cell) -> Row:
        """Cut, repair, train and score, as far as that is not done."""
        start, computed = time.perf_counter(), time.process_time()
        small = self.cut(cell)
        made = self.repaired(cell, small) if cell.images else small
        found: Row = {"plan": small.manifest.plan.digest(), "cost": asdict(small.manifest.cost_after)}
        if cell.tuned:
            made = copy.deepcopy(made)
            train = some_of(_indexed(self.subject.data.train), LEARNED, cell.seed)
            data = replace(self.subject.data.unvalidated(), train=train)
            found["losses"] = tuned(made.module, data, replace(RECIPE, seed=cell.seed))
        else:
            found["pruned"], found["merged"] = self.before(cell, small)
        return {
            **found,
            "score": self.scored(made),
            "seconds": round(time.perf_counter() - start, 1),
            "cpu_seconds": round(time.process_time() - computed, 1),
        }

    def before(self, cell: Cell, small: Artifact) -> tuple[Row, Row | None]:
        """Score a cut network, and where it merges, the same without merging first."""
        plan = small.manifest.plan.digest()
        known = [row for row in self.kept.cells if row["plan"] == plan and "pruned" in row]
        if known:
            return known[0]["pruned"], known[0]["merged"]
        if cell.method not in MERGING:
            return self.scored(small), None
        return self.scored(self.cut(cell, dropped=Ranked(Dropped()))), self.scored(small)

    def cut(self, cell: Cell, dropped: Method[Any] | None = None) -> Artifact:
        """Return the pruned network."""
        first, other = (dropped or method(cell.method, seed) for seed in (cell.seed, cell.seed + 1))
        seed = cell.seed if first.looks or first != other else 0  # others do not depend on it
        name = "dropped" if dropped else cell.method
        layout = "coring" if cell.rates in CORING else "central-filter"
        request = PruneRequest(target=Published(cell.rates, layout))

        def made() -> Artifact:
            images = some_of(_indexed(self.subject.data.train), LOOKED, cell.seed)
            batches = images.batches(_BATCH, device=CPU) if first.looks else None
            return prune(self.subject.dense, request, first, batches, words="a study")

        return self._once(f"{_named(cell.rates)}-{name}-{seed}", made)

    def repaired(self, cell: Cell, small: Artifact) -> Artifact:
        """Return what repair makes of it."""
        images = repair_images(self.subject.data, cell.images, cell.seed)
        settings = RepairSettings(images=cell.images, strength=STRENGTH, seed=cell.seed)
        made = partial(repair, self.subject.dense, small, images, settings=settings, say=say)
        name = f"{_named(cell.rates)}-{cell.method}-{cell.seed}-repaired-{cell.images}"
        return self._once(name, made)

    def scored(self, artifact: Artifact) -> Row:
        """Return the score on all test images; channels last is faster, and the same."""
        model = copy.deepcopy(artifact.module).to(memory_format=torch.channels_last)
        return asdict(evaluate(model, self.subject.data.test, batch_size=250))

    def _once(self, name: str, make: Any) -> Artifact:
        path = self.work / name.replace(", ", "-")
        if path.exists():
            return Artifact.load(path)
        made: Artifact = make()
        made.save(path)
        return made


def method(name: str, seed: int) -> Method[Any]:
    """Return a method by its name in the table."""
    if name in MERGING:
        kind, _, mode = name.partition(", ")
        return method_of(kind, {"mode": mode}, seed)
    return method_of(name, {}, seed)


def _named(rates: str) -> str:
    return f"rates{(CORING + CENTRAL).index(rates)}"


def _indexed(images: object) -> IndexedSet:
    assert isinstance(images, IndexedSet)
    return images


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path("../shared"), help="folder with data/")
    parser.add_argument("--work", type=Path, default=Path("runs/repair_table"), help="networks, kept")
    parser.add_argument("--methods", nargs="+", choices=methods(), help="only these")
    return parser.parse_args()


if __name__ == "__main__":
    main()
