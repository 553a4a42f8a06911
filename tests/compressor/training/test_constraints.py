import copy
import dataclasses
import json
import logging

import pytest
import torch
from torch import nn

from compressor.base.errors import UsageError
from compressor.data import open_data
from compressor.tasks.recipe import Recipe
from compressor.training import FREE, Free, fine_tune, lr_at
from compressor.training import trainer as trainer_module
from compressor.training.precision import MixedPrecision
from compressor.zoo.inputs import InputSpec

RECIPE = Recipe(epochs=2, batch_size=16, lr=0.05, warmup_epochs=0.5)


class Frozen(Free):
    """Gradients of the first layer are zero, and nothing decays it."""

    def parameters(self, model):
        first = [*model[0].parameters()]
        others = [parameter for layer in model[1:] for parameter in layer.parameters()]
        return [{"params": first, "weight_decay": 0.0}, {"params": others}]

    def before_step(self, model, lr):
        for parameter in model[0].parameters():
            parameter.grad.zero_()


class Mask(Free):
    """Half of the last layer's weights stay zero."""

    def after_step(self, model):
        model[-1].weight[:5] = 0

    def identity(self):
        return {"kind": "mask", "rows": [5]}

    def measure(self, model):
        return {"zeros": float((model[-1].weight == 0).sum())}


class Watching(Free):
    """Writes down what it sees."""

    def __init__(self):
        self.calls = []
        self.gradients = []

    def before_step(self, model, lr):
        self.calls.append(("before", lr, model[-1].weight.clone()))
        self.gradients.append(model[-1].weight.grad.clone())

    def after_step(self, model):
        self.calls.append(("after", None, model[-1].weight.clone()))


def state(model):
    return [tensor.clone() for tensor in model.state_dict().values()]


def same(ours, theirs):
    return all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def plain(model, data, recipe):
    """What the loop does without averaging, teacher or constraint, written down again in eight lines."""
    optimizer = torch.optim.SGD(
        model.parameters(), lr=1.0, momentum=0.9, nesterov=True, weight_decay=recipe.weight_decay
    )
    where = {"rank": 0, "world": 1, "device": torch.device("cpu")}
    model.train()
    for epoch in range(1, recipe.epochs + 1):
        steps = len(data.train) // recipe.batch_size
        for step, (images, labels) in enumerate(data.train.training_batches(recipe, epoch=epoch, **where)):
            optimizer.param_groups[0]["lr"] = lr_at(recipe, (epoch - 1) * steps + step, steps)
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(images), labels, reduction="sum")
            (loss * (1 / len(labels))).backward()
            optimizer.step()


def test_without_a_constraint_training_has_the_bits_of_plain_sgd(model, data):
    again, data = copy.deepcopy(model), data.unvalidated()
    fine_tune(model, data, RECIPE)
    plain(again, data, RECIPE)
    assert same(state(model), state(again))


def test_a_layer_without_gradients_keeps_its_bits(model, data):
    before, last = state(model[0]), state(model[-1])
    fine_tune(model, data, RECIPE, constraint=Frozen())
    assert same(state(model[0]), before)
    assert not same(state(model[-1]), last)


@pytest.mark.parametrize("ema", [0.0, 0.5])
def test_a_mask_keeps_weights_zero(model, data, tmp_path, ema):
    model[-1].weight.data[:5] = 0
    recipe = dataclasses.replace(RECIPE, ema=ema, accumulate=3)
    result = fine_tune(model, data, recipe, constraint=Mask(), run_dir=tmp_path)
    assert not model[-1].weight[:5].any()
    assert model[-1].weight[5:].all()
    assert [record.measures for record in result.history] == [{"zeros": 160.0}] * 2
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["measures"] for line in lines] == [{"zeros": 160.0}] * 2


def test_measures_are_told(model, data, caplog):
    with caplog.at_level(logging.INFO, "compressor.training"):
        fine_tune(model, data, RECIPE, constraint=Mask())
    assert "images/s, zeros " in caplog.text


def test_hooks_surround_every_step_and_come_before_the_average(model, data, monkeypatch):
    watching = Watching()
    update = trainer_module.AveragedWeights.update

    def noted(self, model):
        watching.calls.append(("average", None, model[-1].weight.clone()))
        update(self, model)

    monkeypatch.setattr(trainer_module.AveragedWeights, "update", noted)
    fine_tune(model, data, dataclasses.replace(RECIPE, ema=0.9, accumulate=4), constraint=watching)
    steps = 2 * (len(data.train) // RECIPE.batch_size)
    assert [name for name, *_ in watching.calls] == ["before", "after", "average"] * steps
    assert [lr for _, lr, _ in watching.calls[::3]] == [lr_at(RECIPE, n, steps // 2) for n in range(steps)]
    for (_, _, before), (_, _, after), (_, _, averaged) in zip(
        *(watching.calls[n::3] for n in range(3)), strict=True
    ):
        assert not torch.equal(before, after)
        assert torch.equal(after, averaged)


def test_gradients_are_complete_whatever_the_accumulation(model, data):
    seen = []
    for accumulate in (1, 5):
        watching = Watching()
        recipe = dataclasses.replace(RECIPE, accumulate=accumulate)
        fine_tune(copy.deepcopy(model), data, recipe, constraint=watching)
        seen.append(torch.stack(watching.gradients))
    torch.testing.assert_close(*seen, rtol=1e-3, atol=1e-6)


def test_gradients_are_unscaled_under_a_scaler(model, data, monkeypatch):
    plainly, scaled = Watching(), Watching()
    other = copy.deepcopy(model)
    fine_tune(model, data, RECIPE, constraint=plainly)

    def precision(device, *, amp):
        scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=10**6)
        return MixedPrecision(device="cpu", dtype=None, scaler=scaler)

    monkeypatch.setattr(trainer_module, "precision_for", precision)
    fine_tune(other, data, RECIPE, constraint=scaled)
    torch.testing.assert_close(torch.stack(scaled.gradients), torch.stack(plainly.gradients))
    assert same(state(model), state(other))  # powers of two scale without rounding


def test_a_checkpoint_of_another_constraint_is_refused(model, data, tmp_path):
    start = copy.deepcopy(model)
    first = fine_tune(model, data, RECIPE, constraint=Mask(), run_dir=tmp_path)
    with pytest.raises(UsageError, match=r"constraint was .*mask.*, is none"):
        fine_tune(start, data, RECIPE, run_dir=tmp_path, resume=True)
    again = fine_tune(start, data, RECIPE, constraint=Mask(), run_dir=tmp_path, resume=True)
    assert again == first
    assert same(state(start), state(model))


def test_unconstrained_checkpoints_are_refused_by_a_constraint(model, data, tmp_path):
    fine_tune(copy.deepcopy(model), data, RECIPE, run_dir=tmp_path, constraint=FREE)
    with pytest.raises(UsageError, match=r"constraint was none, is .*mask"):
        fine_tune(model, data, RECIPE, constraint=Mask(), run_dir=tmp_path, resume=True)


def test_a_constraint_that_trains_nothing_is_an_error(model, data):
    class Nothing(Free):
        def parameters(self, model):
            return [{"params": []}]

    with pytest.raises(UsageError, match="no trainable parameters"):
        fine_tune(model, data, RECIPE, constraint=Nothing())


def test_without_validation_the_last_epoch_counts(model, data, tmp_path):
    start, blind = copy.deepcopy(model), data.unvalidated()
    recipe = dataclasses.replace(RECIPE, epochs=4, lr=1.0, patience=1)
    result = fine_tune(model, blind, recipe, run_dir=tmp_path)
    assert (result.best_epoch, len(result.history)) == (4, 4)
    assert {record.val_quality for record in result.history} == {None}
    judged = fine_tune(copy.deepcopy(start), data, dataclasses.replace(recipe, patience=0))
    assert [r.train_loss for r in judged.history] == [r.train_loss for r in result.history]
    with pytest.raises(UsageError, match="none of them to choose an epoch by"):
        fine_tune(start, data, recipe, run_dir=tmp_path, resume=True)


def test_a_class_too_few_is_found_without_validation():
    blind = open_data("synthetic:80x3x8x8", InputSpec(shapes=((3, 8, 8),))).unvalidated()
    with pytest.raises(UsageError, match="the model has 3 classes"):
        fine_tune(nn.Sequential(nn.Flatten(), nn.Linear(192, 3)), blind, RECIPE)
