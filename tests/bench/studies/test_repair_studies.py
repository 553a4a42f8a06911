"""Studies of repair: what is finished is kept, and pages say what is missing."""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.studies.common.cells import Kept, Row
from bench.studies.common.cifar import Subject
from bench.studies.repair_table import run
from bench.studies.repair_table.page import text as table_text
from bench.studies.repair_table.run import CORING, MERGING, Cell, Table, cells, methods
from bench.studies.squeezenet.page import text as squeezenet_text
from compressor.artifact import Artifact
from compressor.criteria import CRITERIA
from compressor.data import open_data
from compressor.tasks.recipe import Recipe
from compressor.zoo import find


@dataclass(frozen=True, slots=True)
class Number:
    value: float | None


def test_a_study_goes_on_with_the_first_cell_that_is_missing(tmp_path: Path) -> None:
    ran = []

    def once(cell: Number) -> Row:
        if cell.value == 2:
            raise KeyboardInterrupt
        ran.append(cell.value)
        return {"twice": 2 * (cell.value or 0)}

    numbers = [Number(1), Number(None), Number(2), Number(3)]
    kept = Kept(tmp_path / "results.json", {"head": 1})
    with pytest.raises(KeyboardInterrupt):
        kept.finish(numbers, once)
    again = Kept(tmp_path / "results.json", {"head": 2})
    again.finish([cell for cell in numbers if cell.value != 2], once)
    assert ran == [1, None, 3]
    assert again.document["head"] == 2
    assert [row["cell"]["value"] for row in again.cells] == [1, None, 3]
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]


def test_every_criterion_is_in_the_table_and_no_cell_twice() -> None:
    found = list(cells())
    assert len(found) == len(set(found))
    assert methods()[0] == "l1"
    assert {*CRITERIA, *MERGING} == {cell.method for cell in found if cell.rates == CORING[0] and cell.tuned}


@pytest.fixture
def small_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Table:
    """Return the table of a small network on noise."""
    monkeypatch.setattr(run, "CORING", ("[0.]+[0.3]*11",))
    monkeypatch.setattr(run, "LOOKED", 4)
    monkeypatch.setattr(run, "LEARNED", 4)
    monkeypatch.setattr(run, "RECIPE", Recipe(epochs=1, batch_size=4))
    arch = find("resnet20_cifar")
    torch.manual_seed(0)
    pixels = np.random.default_rng(0).integers(0, 255, size=(10, 32, 32, 3), dtype=np.uint8)
    labels = np.arange(10)
    np.savez(tmp_path / "noise.npz", x_train=pixels, y_train=labels, x_test=pixels, y_test=labels)
    data = open_data(f"npz:{tmp_path / 'noise.npz'}", arch.input)
    kept = Kept(tmp_path / "results.json", {})
    return Table(Subject(Artifact.of(arch.build(), arch), data), kept, tmp_path / "work")


def test_a_network_is_cut_merged_repaired_and_trained_once_each(small_table: Table) -> None:
    rates = run.CORING[0]
    merged = Cell(rates, MERGING[1], images=4)
    small_table.kept.finish([Cell(rates, "l1", images=4)], small_table.run)
    small_table.kept.finish([merged, Cell(rates, "l1", images=4, tuned=True)], small_table.run)
    plain, merging, trained = small_table.kept.cells
    assert plain["merged"] is None
    assert plain["pruned"]["images"] == merging["merged"]["images"] == trained["score"]["images"] == 10
    assert merging["pruned"] != merging["merged"]
    assert len(trained["losses"]) == 1
    assert trained["plan"] == plain["plan"] != merging["plan"]
    kept = {path.name for path in small_table.work.iterdir()}
    l1, root = "rates0-l1-0", "rates0-central_filter-root-0"
    assert kept == {l1, f"{l1}-repaired-4", root, f"{root}-repaired-4", "rates0-dropped-0"}


def row(cell: Cell, top1: float, **others: object) -> Row:
    score = {"top1": top1, "images": 5000}
    before = {} if cell.tuned else {"pruned": {"top1": 20.0}, "merged": None}
    return {"cell": asdict(cell), "cost": {"macs": 90e6}, "score": score, **before, **others}


def test_the_table_says_what_is_missing() -> None:
    wanted = [
        Cell(CORING[0], "l1"),
        Cell(CORING[0], "l1", seed=1),
        Cell(CORING[0], "l1", images=0, tuned=True),
        Cell(CORING[0], MERGING[0]),
        Cell(CORING[1], "l1"),
    ]
    merged = row(wanted[3], 91.0, merged={"top1": 30.0})
    document = {
        "dense": {"top1": 93.0, "images": 5000},
        "recipe": {"lr": 0.01, "batch_size": 64},
        "looked": 128,
        "learned": 5000,
        "strength": 0.01,
        "wanted": [asdict(cell) for cell in wanted],
        "cells": [row(wanted[0], 90.0), row(wanted[1], 92.0), merged],
    }
    text = table_text(document)
    assert "Of 5 cells 2 are not measured yet (1 of repair with seed 0, 1 of training)" in text
    assert "| l1 | 20.00 ± 0.00 | ... | 91.00 ± 1.41 | ... | ... |" in text.replace(
        "20.00 |", "20.00 ± 0.00 |"
    )
    assert f"| {MERGING[0]} | 20.00 | 30.00 | 91.00 | ... | ... |" in text
    assert f"`{CORING[1]}`: nothing is measured yet." in text


def test_halves_are_averaged_where_both_were_scored() -> None:
    def found(half: int, repaired: float) -> Row:
        cell = {"rate": 0.05, "half": half, "strength": None}
        scores = {"pruned": {"top1": 10.0}, "repaired": {"top1": repaired}}
        return {"cell": cell, "macs": 9, "seconds": 3.0, **scores}

    document = {"dense": [{"top1": 70.0}, {"top1": 74.0}], "macs": 10, "cells": [found(0, 60.0)]}
    assert "| 5% | chosen | 90% | 70.0 | 10.0 | 60.0 | 1 | 3 |" in squeezenet_text(document)
    document["cells"].append(found(1, 64.0))
    assert "| 5% | chosen | 90% | 72.0 | 10.0 | 62.0 | 2 | 3 |" in squeezenet_text(document)
