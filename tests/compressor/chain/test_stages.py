"""The list of stages: order, parents, and the epochs between shots."""

from typing import Any

import pytest

from compressor.base.errors import UsageError
from compressor.chain.files import pipeline_from_tables
from compressor.chain.settings import Pipeline
from compressor.chain.stages import stages_of
from compressor.chain.work.evaluate import Evaluate
from compressor.chain.work.export import Export
from compressor.chain.work.prune import Prune
from compressor.chain.work.train import Train


def pipeline(**tables: Any) -> Pipeline:
    base = {"model": {"arch": "resnet20_cifar"}, "prune": {"rate": 0.5}, "training": {"epochs": 9}}
    return pipeline_from_tables({**base, **tables}, where="test")


def test_one_shot() -> None:
    found = [(s.name, type(s.work), s.parent, s.output) for s in stages_of(pipeline())]
    assert found == [
        ("prune", Prune, "", "pruned"),
        ("finetune", Train, "prune", "tuned"),
        ("eval", Evaluate, "finetune", "model"),
        ("export", Export, "eval", "model.onnx"),
    ]


def test_what_was_not_asked_for_is_left_out() -> None:
    found = stages_of(pipeline(training={"epochs": 0}, export={"onnx": False}))
    assert [(s.name, s.parent) for s in found] == [("prune", ""), ("eval", "prune")]


def test_each_turn_is_cut_and_trained() -> None:
    turns = {"rate": 0.5, "turns": ["layer3.*", "layer1.*"]}
    stages = stages_of(pipeline(prune=turns, between={"epochs": 2}))
    assert [s.name for s in stages] == [
        "prune 1/2", "train 1/2", "prune 2/2", "train 2/2", "finetune", "eval", "export"
    ]  # fmt: skip
    cuts = [s.work.turn for s in stages if isinstance(s.work, Prune)]
    assert [(turn.number, turn.patterns) for turn in cuts if turn] == [
        (n, ("layer3.*", "layer1.*")) for n in (1, 2)
    ]
    assert [s.work.recipe.epochs for s in stages if isinstance(s.work, Train)] == [2, 2, 9]
    assert [s.parent for s in stages] == ["", *(s.name for s in stages[:-1])]
    for part in ("name", "output"):
        assert len({getattr(s, part) for s in stages}) == len(stages)


def test_turns_alone_train_nothing_in_between() -> None:
    stages = stages_of(pipeline(prune={"rate": 0.5, "turns": ["conv1"]}))
    assert [s.name for s in stages] == ["prune 1/1", "finetune", "eval", "export"]


def test_turns_and_shots_exclude_each_other() -> None:
    both = {"rate": 0.5, "turns": ["conv1"], "shots": 2, "calibration_epochs": 2}
    with pytest.raises(UsageError, match="shots and turns"):
        pipeline(prune=both)


def test_shots_alternate_with_their_share_of_the_calibration_epochs() -> None:
    stages = stages_of(pipeline(prune={"rate": 0.5, "shots": 3, "calibration_epochs": 10}))
    shots = [s.work.shot for s in stages if isinstance(s.work, Prune)]
    assert [(shot.number, shot.total) for shot in shots] == [(1, 3), (2, 3), (3, 3)]
    trained = [s.work.recipe.epochs for s in stages if isinstance(s.work, Train)]
    assert trained == [4, 4, 4, 9]  # ceil(10 / 3), then the fine-tuning itself
    assert [s.parent for s in stages] == ["", *(s.name for s in stages[:-1])]
    for part in ("name", "output"):
        assert len({getattr(s, part) for s in stages}) == len(stages)
