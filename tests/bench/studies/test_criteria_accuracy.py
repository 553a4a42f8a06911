import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.studies.common.accuracy import Cell, Method, Study, WorkFile, run_cells, some_of, summary, tuned
from bench.studies.criteria_accuracy.page import text as criteria_accuracy
from bench.studies.criteria_accuracy.run import METHODS, RATES, compared
from bench.studies.one_by_one.page import text as one_by_one
from bench.studies.one_by_one.run import convolutions, one_at_a_time, parted
from compressor.base.errors import UsageError
from compressor.criteria import CRITERIA
from compressor.data import ArrayPixels, DataSplits, Labelled
from compressor.data.images import IndexedSet
from compressor.methods.ranking import make_plan
from compressor.rates import PruneRequest, Published, parse_rates
from compressor.tasks.recipe import Recipe
from compressor.training import evaluate, fine_tune
from compressor.zoo import find
from compressor.zoo.inputs import InputSpec

CLASSES = 3
HALF = "[0.]+[0.5]*11"


@pytest.fixture(scope="module")
def images() -> IndexedSet:
    """Return 3 classes of noisy images, each bright in a channel of its own."""
    generator = np.random.default_rng(0)
    labels = np.arange(96) % CLASSES
    pixels = generator.integers(0, 120, size=(96, 32, 32, 3), dtype=np.uint8)
    pixels[np.arange(96), :, :, labels] += 100
    inputs = InputSpec(shapes=((3, 32, 32),))
    data = Labelled(pixels=ArrayPixels(pixels), labels=labels)
    return IndexedSet(data=data, indices=np.arange(96), inputs=inputs)


@pytest.fixture(scope="module")
def study(images: IndexedSet) -> Study:
    arch = find("resnet20_cifar").with_options({"num_classes": CLASSES})
    torch.manual_seed(0)
    data = parted(images, 48)
    return Study(
        arch=arch,
        model=arch.build(),
        data=data,
        calibration=images,
        methods={
            "l1": Method(criterion="l1"),
            "random": Method(criterion="random"),
            "taylor": Method(criterion="taylor", calibration_images=8),
        },
        rates={"half": PruneRequest(target=Published(HALF, "coring"))},
        recipe=Recipe(epochs=2, lr=0.02, batch_size=16, augment=False),
    )


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("study") / "work.jsonl"


@pytest.fixture(scope="module")
def document(study: Study, work: Path) -> dict[str, object]:
    return compared(study, study.cells(2), work)


def test_every_method_comes_before_the_next_seed(study: Study) -> None:
    cells = study.cells(3)
    assert [cell.seed for cell in cells] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert {cell.method for cell in cells[:3]} == set(study.methods)


def test_all_cells_of_a_rate_end_with_one_cost(study: Study, document: dict) -> None:
    small, _ = study.pruned(Cell(method="random", rate="half", seed=1))
    convolutions = [m for m in small.modules() if isinstance(m, torch.nn.Conv2d)]
    # stem 16; sums of 8, 16 and, never pruned, 64 channels; half of 16, 32 and 64 inside blocks
    assert {m.out_channels for m in convolutions} == {16, 8, 32, 64}
    assert document["cost"]["half"]["params"] == sum(p.numel() for p in small.parameters())


def test_the_norm_keeps_more_of_the_weights_than_chance(study: Study, document: dict) -> None:
    left = document["weights_left"]["half"]
    small, _ = study.pruned(Cell(method="random", rate="half", seed=0))
    sums = [
        sum(
            float((m.weight.detach().double() ** 2).sum())
            for m in model.modules()
            if isinstance(m, torch.nn.Conv2d)
        )
        for model in (small, study.model)
    ]
    assert left["random"] == pytest.approx(sums[0] / sums[1])
    assert 0 < left["random"] < left["l1"] < 1


def test_only_what_depends_on_the_seed_is_chosen_again(document: dict) -> None:
    plans = {row["method"]: row["plans"] for row in document["summary"]}
    assert plans == {"l1": 1, "random": 2, "taylor": 2}


def test_one_plan_has_one_score_before(document: dict) -> None:
    l1 = [row for row in document["cells"] if row["method"] == "l1"]
    assert l1[0]["before"] == l1[1]["before"]
    assert l1[0]["after"] != l1[1]["after"]


def test_scores_are_of_the_test_part_and_of_the_named_moments(study: Study, document: dict) -> None:
    row = document["cells"][0]
    small, digest = study.pruned(Cell(method="l1", rate="half", seed=0))
    assert (row["plan"], row["method"]) == (digest, "l1")
    assert row["before"] == dataclasses.asdict(evaluate(small, study.data.test))
    losses = tuned(small, study.data, study.recipe)
    assert row["train_losses"] == losses
    assert row["after"] == dataclasses.asdict(evaluate(small, study.data.test))


def test_the_last_epoch_counts_even_where_an_earlier_one_was_better(study: Study) -> None:
    worse = dataclasses.replace(study.recipe, schedule="step", milestones=(1,), gamma=100.0)
    cell = Cell(method="l1", rate="half", seed=0)
    (chosen, _), (last, _) = study.pruned(cell), study.pruned(cell)
    kept = fine_tune(chosen, study.data, worse)
    losses = tuned(last, study.data, worse)
    assert kept.best_epoch == 1
    assert losses == [record.train_loss for record in kept.history]
    assert any((a != b).any() for a, b in zip(chosen.parameters(), last.parameters(), strict=True))


def test_a_restart_runs_no_finished_cell(study: Study, work: Path, document: dict) -> None:
    before = work.read_text()
    again = compared(study, study.cells(2), work)
    assert again["cells"] == document["cells"]
    assert work.read_text() == before


def test_a_row_that_was_cut_off_is_made_again(tmp_path: Path) -> None:
    path, cells = tmp_path / "work", [Cell(method=m, rate="r", seed=0) for m in "ab"]
    made: list[str] = []

    def run(cell: Cell, finished: object) -> dict[str, object]:
        made.append(cell.method)
        return {"before": {"top1": 1.0}, "after": {"top1": 2.0}, "seconds": 0.0, "plan": "p"}

    rows = run_cells(cells, WorkFile(path, {"x": 1}), run)
    path.write_text(path.read_text()[:-5])
    assert run_cells(cells, WorkFile(path, {"x": 1}), run) == rows
    assert made == ["a", "b", "b"]
    assert [json.loads(line) for line in path.read_text().splitlines()] == [{"x": 1}, *rows]


def test_a_work_file_of_another_study_is_refused(tmp_path: Path) -> None:
    WorkFile(tmp_path / "work", {"images": 512})
    with pytest.raises(UsageError, match="other settings"):
        WorkFile(tmp_path / "work", {"images": 1024})


def test_summary_is_mean_and_sample_deviation() -> None:
    rows = [
        {
            "rate": "r",
            "method": "m",
            "plan": str(after > 4),
            "before": {"top1": 1.0},
            "after": {"top1": after},
        }
        for after in (3.0, 5.0, 10.0)
    ]
    (row,) = summary(rows)
    assert (row["rate"], row["method"], row["seeds"], row["plans"]) == ("r", "m", 3, 2)
    assert row["before"] == {"mean": 1.0, "std": 0.0}
    assert row["after"] == {"mean": 6.0, "std": pytest.approx(13**0.5)}  # ((-3)^2 + 1 + 4^2) / 2
    (one,) = summary(rows[:1])
    assert one["after"] == {"mean": 3.0, "std": None}


def test_parts_are_drawn_without_replacement_and_by_seed(images: IndexedSet) -> None:
    some, same, other = some_of(images, 40, 0), some_of(images, 40, 0), some_of(images, 40, 1)
    assert len(set(some.indices.tolist())) == 40
    assert np.array_equal(some.indices, same.indices)
    assert not np.array_equal(some.indices, other.indices)
    with pytest.raises(UsageError, match="97 images"):
        some_of(images, 97, 0)


def test_nothing_is_learned_from_what_is_scored(images: IndexedSet) -> None:
    splits: DataSplits = parted(images, 60)
    assert not set(splits.train.indices) & set(splits.test.indices)
    assert set(splits.val.indices) <= set(splits.train.indices)
    assert len(splits.train) + len(splits.test) == len(images)


def test_squeezenet_is_pruned_at_1x1_convolutions_only() -> None:
    fires = (3, 4, 6, 7, 9, 10, 11, 12)
    pointwise, others = convolutions(find("squeezenet1_1").build())
    assert others == ("features.0", *(f"features.{i}.expand3x3" for i in fires))
    layers = [f"features.{i}.{layer}" for i in fires for layer in ("squeeze", "expand1x1")]
    assert pointwise == (*layers, "classifier.1")


def test_one_group_is_pruned_at_a_time() -> None:
    arch = find("squeezenet1_1").with_options(shapes=((3, 64, 64),))
    model = arch.build()
    requests = one_at_a_time(model)
    assert len(requests) == 16
    for name in ("features.3.squeeze", "features.12.expand1x1"):
        groups = make_plan(model, arch, requests[name], CRITERIA.get("l1")()).plan.decisions
        cut = {group.name: (group.size, group.kept) for group in groups if group.kept < group.size}
        size = model.get_submodule(name).out_channels
        assert cut == {name: (size, size * 3 // 4)}


def test_without_epochs_the_score_stays(study: Study, document: dict) -> None:
    untrained = dataclasses.replace(study, recipe=dataclasses.replace(study.recipe, epochs=0))
    row = untrained.run(Cell(method="l1", rate="half", seed=0), [])
    assert row["train_losses"] == []
    assert row["before"] == row["after"] == document["cells"][0]["before"]


def test_the_published_rates_and_every_criterion_asked_for_exist() -> None:
    layout = find("resnet56_cifar").layouts["coring"]
    assert all(len(parse_rates(rates)) == len(layout.expected) for rates in RATES)
    for method in METHODS.values():
        criterion = CRITERIA.get(method.criterion)(**method.options)
        assert bool(criterion.needs) == bool(method.calibration_images)


def test_the_page_says_who_won_and_by_how_much() -> None:
    methods = {"l1": Method(criterion="l1"), "coring": Method(criterion="coring")}
    scores = {("l1", 0): 80.0, ("l1", 1): 82.0, ("coring", 0): 90.0, ("coring", 1): 70.0}
    rows = [
        {"method": m, "rate": "r", "seed": s, "plan": m, "before": {"top1": 10.0}, "after": {"top1": after}}
        for (m, s), after in scores.items()
    ]
    cost = {"params": 50, "macs": 40}
    text = criteria_accuracy(
        {
            "settings": {
                "methods": {name: dataclasses.asdict(method) for name, method in methods.items()},
                "rates": {"r": {}},
                "recipe": dataclasses.asdict(Recipe()),
                "train_images": 256,
                "test_images": 2000,
            },
            "dense": {"accuracy": {"top1": 93.0}, "cost": {"params": 100, "macs": 100}},
            "cost": {"r": cost},
            "weights_left": {"r": {"l1": 0.88, "coring": 0.7}},
            "summary": summary(rows),
        }
    )
    assert "coring is number 2 of 2,\n-1.00 points against l1: no more than" in text
    l1, coring = (line for line in text.splitlines() if line.startswith(("| l1", "| coring")))
    assert l1 == "| l1 | 10.00 | 81.00 ± 1.41 | 2 | 88% |"
    assert coring == "| coring | 10.00 | 80.00 ± 14.14 | 2 | 70% |"


def one_by_one_part(rates: dict[str, tuple[float, float]]) -> dict[str, object]:
    rows = [
        {"method": "coring", "rate": rate, "plan": "p", "before": {"top1": before}, "after": {"top1": after}}
        for rate, (before, after) in rates.items()
    ]
    settings = {
        "methods": {"coring": {}},
        "rates": {rate: {"fraction": 0.25} for rate in rates},
        "recipe": dataclasses.asdict(Recipe()),
        "train_images": 400,
        "test_images": 250,
    }
    return {"settings": settings, "summary": summary(rows)}


def test_the_page_on_1x1_convolutions_grows_with_the_parts() -> None:
    document = {"dense": {"top1": 70.0}, "together": one_by_one_part({"0.05": (50, 50), "0.2": (1, 1)})}
    text = one_by_one(document)
    assert "| criterion | 5 % removed | 20 % removed |" in text
    assert "| coring | 50.00 | 1.00 |" in text
    layers = {"features.3.squeeze": (60, 60), "features.4.squeeze": (20, 20), "features.3.expand1x1": (5, 5)}
    document["alone"] = one_by_one_part(layers)
    text = one_by_one(document)
    assert "| criterion | squeeze (2) | expand1x1 (1) |" in text
    assert "| coring | 40.00 | 5.00 |" in text
    document["trained"] = one_by_one_part({"0.1": (3, 60)})
    assert "| coring | 3.00 → 60.00 |" in one_by_one(document)
