"""What pruning criteria do to accuracy: prune, score, fine-tune for a moment, score again.

A *study* fixes everything but three things; a *cell* names those: the method, the rate and the seed. All
cells of one rate end with the same widths and learn from the same images by the same recipe, so that the
choice of channels is all that differs. The weights after the last epoch count; no image chooses anything.

Studies take hours. Every finished cell is therefore appended to a work file, and a study that is started
again goes on with the first one missing.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from itertools import product
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.studies.common.requests import row_of
from compressor.base.errors import UsageError
from compressor.criteria import CRITERIA, Criterion
from compressor.data import DataSplits
from compressor.data.images import IndexedSet
from compressor.methods.ranking import make_plan
from compressor.rates import PruneRequest
from compressor.steps.shrink import shrink
from compressor.tasks.recipe import Recipe
from compressor.training import evaluate
from compressor.training.trainer import Trainer
from compressor.zoo import Architecture

Row = dict[str, Any]

CPU = torch.device("cpu")
_CALIBRATION_BATCH = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """A criterion as a study uses it.

    Attributes:
        criterion: its registered name.
        options: its options; a criterion with an option ``seed`` gets the cell's.
        calibration_images: training images that it sees, drawn by the cell's seed; 0 if it needs none.
    """

    criterion: str
    options: Mapping[str, object] = field(default_factory=dict)
    calibration_images: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One point of a study.

    Attributes:
        method: key of ``Study.methods``.
        rate: key of ``Study.rates``.
        seed: of the calibration images, of random scores, and of order and augmentation in fine-tuning.
    """

    method: str
    rate: str
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """Everything that the cells have in common.

    Attributes:
        arch: the architecture.
        model: its dense model, loaded.
        data: ``train`` is the fixed part that all cells learn from; both scores are taken on ``test``.
        calibration: training images that methods may look at.
        methods: what is compared, by name.
        rates: how much is removed, by name.
        recipe: the fine-tuning; the cell's seed replaces its own.
    """

    arch: Architecture
    model: nn.Module
    data: DataSplits
    calibration: IndexedSet
    methods: Mapping[str, Method]
    rates: Mapping[str, PruneRequest]
    recipe: Recipe

    def cells(self, seeds: int) -> list[Cell]:
        """Return all cells in the order of work: one seed for everything before the next seed begins."""
        every = product(range(seeds), self.rates, self.methods)
        return [Cell(method=method, rate=rate, seed=seed) for seed, rate, method in every]

    def settings(self) -> Row:
        """Return what a result depends on besides its cell and the code."""
        return {
            "model": self.arch.name,
            "methods": {name: asdict(method) for name, method in self.methods.items()},
            "rates": {name: row_of(spec) for name, spec in self.rates.items()},
            "recipe": asdict(self.recipe),
            "train_images": len(self.data.train),
            "test_images": len(self.data.test),
        }

    def criterion(self, cell: Cell) -> Criterion:
        """Return the cell's criterion."""
        method = self.methods[cell.method]
        kind = CRITERIA.get(method.criterion)
        seeded = "seed" in {option.name for option in fields(kind)}  # type: ignore[arg-type]
        return kind(**method.options, **({"seed": cell.seed} if seeded else {}))

    def calibrated(self, cell: Cell) -> Iterator[tuple[Tensor, Tensor]]:
        """Return the cell's calibration batches."""
        images = some_of(self.calibration, self.methods[cell.method].calibration_images, cell.seed)
        return images.batches(_CALIBRATION_BATCH, device=CPU)

    def pruned(self, cell: Cell) -> tuple[nn.Module, str]:
        """Return the cell's small model, not yet fine-tuned, and its plan's digest."""
        batches, spec = self.calibrated(cell), self.rates[cell.rate]
        plan = make_plan(self.model, self.arch, spec, self.criterion(cell), batches).plan
        # Channels last is a memory layout only; convolutions on CPUs are a fifth faster with it.
        small: nn.Module = shrink(self.model, plan).to(memory_format=torch.channels_last)
        return small, plan.digest()

    def run(self, cell: Cell, finished: Sequence[Row]) -> Row:
        """Prune, score, fine-tune and score one cell; nothing is scored twice, neither plan nor weights."""
        start = time.perf_counter()
        small, digest = self.pruned(cell)
        known = [row["before"] for row in finished if row["plan"] == digest]
        before = known[0] if known else asdict(evaluate(small, self.data.test))
        losses = tuned(small, self.data, replace(self.recipe, seed=cell.seed))
        return {
            "plan": digest,
            "before": before,
            "after": asdict(evaluate(small, self.data.test)) if losses else before,
            "train_losses": losses,
            "seconds": time.perf_counter() - start,
        }


def some_of(images: IndexedSet, count: int, seed: int) -> IndexedSet:
    """Return ``count`` images drawn without replacement, in stored order.

    Raises:
        UsageError: there are not that many.
    """
    if count > len(images):
        raise UsageError(f"{count} images are asked for, but there are {len(images)}", "ask for fewer.")
    drawn = np.random.default_rng(seed).choice(images.indices, count, replace=False)
    return replace(images, indices=np.sort(drawn))


def tuned(model: nn.Module, data: DataSplits, recipe: Recipe) -> list[float]:
    """Train ``model`` in place for all of the recipe's epochs; return each one's mean loss.

    The product's own trainer does it, but the last epoch's weights stay, not the best epoch's.
    """
    trainer = Trainer(model, data, recipe, None, CPU)
    losses = [
        trainer.run_epoch(epoch + 1, lambda number, step: None).train_loss for epoch in range(recipe.epochs)
    ]
    trainer.close()
    return losses


class WorkFile:
    """JSON lines: the settings of a study, then one row per finished cell."""

    def __init__(self, path: Path, settings: Row) -> None:
        """Open or create the file; a line that was cut off while it was written is dropped.

        Raises:
            UsageError: it holds another study.
        """
        self._path = path
        text = path.read_text() if path.exists() else ""
        whole = text[: text.rfind("\n") + 1] or _line(settings)
        head, *self._rows = [json.loads(line) for line in whole.splitlines()]
        if head != json.loads(_line(settings)):
            raise UsageError(
                f"{path} holds a study with other settings", "give another --work, or remove it."
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(whole)

    @property
    def rows(self) -> tuple[Row, ...]:
        """Finished cells in the order of work: the fields of ``Cell``, then the result."""
        return tuple(self._rows)

    def add(self, row: Row) -> None:
        """Keep a row for good."""
        self._rows.append(row)
        with self._path.open("a") as file:
            file.write(_line(row))

    def of(self, cell: Cell) -> Row | None:
        """Return the row of a cell, None if it is not finished."""
        wanted = asdict(cell)
        return next((r for r in self._rows if {k: r[k] for k in wanted} == wanted), None)


def _line(row: Row) -> str:
    return json.dumps(row) + "\n"


def run_cells(
    cells: Sequence[Cell], work: WorkFile, run: Callable[[Cell, Sequence[Row]], Row]
) -> tuple[Row, ...]:
    """Run the cells that are not finished, and return the rows of all of them."""
    left = [cell for cell in cells if work.of(cell) is None]
    start = time.monotonic()
    for done, cell in enumerate(left, start=1):
        row = asdict(cell) | run(cell, work.rows)
        work.add(row)
        _say(
            row,
            f"{len(cells) - len(left) + done}/{len(cells)}",
            (time.monotonic() - start) / done,
            left[done:],
        )
    return tuple(found for cell in cells if (found := work.of(cell)))


def _say(row: Row, position: str, mean_seconds: float, left: Sequence[Cell]) -> None:
    scores = f"{row['before']['top1']:.2f} % before, {row['after']['top1']:.2f} % after"
    eta = f"{len(left) * mean_seconds / 60:.0f} min left"
    cell = f"{row['method']}, {row['rate']}, seed {row['seed']}"
    print(f"{position} {cell}: {scores}; {row['seconds']:.0f} s, {eta}", file=sys.stderr, flush=True)


def summary(rows: Sequence[Row]) -> list[Row]:
    """Return mean and standard deviation of top-1 over seeds, one row per rate and method."""
    pairs = dict.fromkeys((row["rate"], row["method"]) for row in rows)
    found = []
    for rate, method in pairs:
        mine = [row for row in rows if (row["rate"], row["method"]) == (rate, method)]
        figures = {moment: _spread([row[moment]["top1"] for row in mine]) for moment in ("before", "after")}
        plans = len({row["plan"] for row in mine})
        found.append({"rate": rate, "method": method, "seeds": len(mine), "plans": plans, **figures})
    return found


def _spread(values: Sequence[float]) -> Row:
    """Return the mean, and the sample standard deviation where there are several values."""
    return {"mean": fmean(values), "std": stdev(values) if len(values) > 1 else None}
