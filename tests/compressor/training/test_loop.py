import copy
import dataclasses
import json
import logging
import os
import random

import pytest
import torch
from torch import nn

from compressor.base.errors import ArtifactError, CompressError, UsageError
from compressor.base.locks import owned
from compressor.data import open_data
from compressor.tasks.recipe import Recipe
from compressor.training import Free, evaluate, fine_tune
from compressor.training.checkpoint import Identity, RunFolder, _content
from compressor.zoo.inputs import InputSpec

RECIPE = Recipe(epochs=2, batch_size=16, lr=0.05)


def weights(model):
    return torch.cat([tensor.flatten() for tensor in model.state_dict().values()])


def test_accuracy_on_real_digits_goes_up():
    torch.manual_seed(0)
    widths = [(3, 8), (8, 16), (16, 32)]
    blocks = [
        nn.Sequential(nn.Conv2d(i, o, 3, 2, 1, bias=False), nn.BatchNorm2d(o), nn.ReLU()) for i, o in widths
    ]
    model = nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10))
    digits = open_data("digits", InputSpec(shapes=((3, 32, 32),)), classes=10)
    assert evaluate(model, digits.test).top1 < 30
    fine_tune(model, digits, Recipe(epochs=5, batch_size=32, lr=0.1, augment=False, warmup_epochs=0.5))
    assert evaluate(model, digits.test).top1 > 85


def test_one_step_is_textbook_sgd(model, data):
    reference = copy.deepcopy(model)
    recipe = Recipe(epochs=1, batch_size=1000, lr=0.1, augment=False, schedule="step")
    fine_tune(model, data, recipe)
    images, labels = next(data.train.batches(1000, device=torch.device("cpu")))
    optimizer = torch.optim.SGD(
        reference.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4
    )
    nn.functional.cross_entropy(reference(images), labels).backward()
    optimizer.step()
    torch.testing.assert_close(weights(model), weights(reference), rtol=1e-4, atol=1e-6)


def test_accumulation_equals_the_big_batch(model, data):
    other = copy.deepcopy(model)
    whole = fine_tune(model, data, RECIPE)
    parts = fine_tune(other, data, dataclasses.replace(RECIPE, accumulate=5))
    for a, b in zip(whole.history, parts.history, strict=True):
        assert a.train_loss == pytest.approx(b.train_loss, rel=1e-4)
    torch.testing.assert_close(weights(model), weights(other), rtol=1e-3, atol=1e-5)


def test_the_best_epoch_is_what_the_model_ends_with(model, data, tmp_path):
    result = fine_tune(model, data, dataclasses.replace(RECIPE, epochs=5, lr=0.3), run_dir=tmp_path)
    best = result.history[result.best_epoch - 1]
    assert best.val_quality == max(record.val_quality for record in result.history)
    accuracy = evaluate(model, data.val, batch_size=16)
    assert accuracy.top1 == best.val_quality
    assert accuracy.loss == pytest.approx(best.val_loss, rel=1e-6)
    assert not model.training
    assert all(parameter.grad is None for parameter in model.parameters())


def test_the_log_has_one_line_per_epoch(model, data, tmp_path):
    result = fine_tune(model, data, RECIPE, run_dir=tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert lines == [record.document() for record in result.history]
    assert list(lines[0]) == [
        "epoch",
        "lr",
        "train_loss",
        "val_quality",
        "val_loss",
        "seconds",
        "images_per_s",
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "checkpoint.previous.pt",
        "checkpoint.pt",
        "log.jsonl",
    ]


def test_averaged_weights_are_the_ones_kept(model, data):
    frozen = copy.deepcopy(model)
    fine_tune(model, data, dataclasses.replace(RECIPE, ema=1.0))
    assert torch.equal(weights(model), weights(frozen))  # an average that never moves


def test_distillation_alone_pulls_towards_the_teacher(data):
    torch.manual_seed(5)
    student, teacher = (nn.Sequential(nn.Flatten(), nn.Linear(192, 10)) for _ in range(2))
    recipe = dataclasses.replace(RECIPE, epochs=20, distill=1.0, augment=False)
    before = weights(teacher).clone()
    result = fine_tune(student, data, recipe, teacher=teacher)
    assert result.history[-1].train_loss < 0.1 * result.history[0].train_loss
    assert torch.equal(weights(teacher), before)
    assert teacher.training


def test_a_perfect_student_has_nothing_to_learn(model, data):
    recipe = dataclasses.replace(RECIPE, epochs=1, distill=1.0, weight_decay=0.0)
    result = fine_tune(copy.deepcopy(model), data, recipe, teacher=model)
    assert result.history[0].train_loss == pytest.approx(0, abs=1e-5)


def test_no_epochs_leave_the_model_alone(model, data):
    before = weights(model).clone()
    result = fine_tune(model, data, dataclasses.replace(RECIPE, epochs=0))
    assert (result.best_epoch, result.history) == (0, ())
    assert torch.equal(weights(model), before)


def test_frozen_parameters_stay(model, data):
    model[0].requires_grad_(False)
    before = model[0].weight.clone()
    fine_tune(model, data, RECIPE)
    assert torch.equal(model[0].weight, before)


def test_training_leaves_the_callers_random_numbers_alone(model, data):
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    fine_tune(model, data, dataclasses.replace(RECIPE, epochs=1))
    assert torch.equal(torch.rand(3), expected)


def test_a_finished_run_is_not_repeated(model, data, tmp_path):
    start = copy.deepcopy(model)
    first = fine_tune(model, data, RECIPE, run_dir=tmp_path)
    again = fine_tune(start, data, RECIPE, run_dir=tmp_path, resume=True)
    assert again == first
    assert torch.equal(weights(start), weights(model))


def test_without_resume_a_run_starts_afresh(model, data, tmp_path):
    start = copy.deepcopy(model)
    first = fine_tune(model, data, RECIPE, run_dir=tmp_path)
    again = fine_tune(start, data, RECIPE, run_dir=tmp_path)
    assert [r.train_loss for r in again.history] == [r.train_loss for r in first.history]
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == RECIPE.epochs


def test_resuming_nothing_is_starting(model, data, tmp_path, caplog):
    with caplog.at_level(logging.INFO, "compressor.training"):
        result = fine_tune(model, data, RECIPE, run_dir=tmp_path / "new", resume=True)
    assert len(result.history) == RECIPE.epochs
    assert "nothing to resume" in caplog.text


def test_a_checkpoint_of_another_run_is_refused(model, data, tmp_path):
    fine_tune(model, data, RECIPE, run_dir=tmp_path)
    with pytest.raises(UsageError, match=r"recipe: lr was 0\.05, is 0\.1"):
        fine_tune(model, data, dataclasses.replace(RECIPE, lr=0.1), run_dir=tmp_path, resume=True)
    narrow = nn.Sequential(nn.Flatten(), nn.Linear(192, 10))
    with pytest.raises(UsageError, match="started from other weights"):
        fine_tune(narrow, data, RECIPE, run_dir=tmp_path, resume=True)
    other = open_data("synthetic:90x3x8x8", InputSpec(shapes=((3, 8, 8),)))
    with pytest.raises(UsageError, match="data was synthetic 80x3x8x8"):
        fine_tune(model, other, RECIPE, run_dir=tmp_path, resume=True)


@pytest.mark.parametrize(
    "damage", [lambda raw: raw[: len(raw) // 2], lambda raw: b"", lambda raw: b"garbage"]
)
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_used(model, data, tmp_path, damage, caplog):
    again = copy.deepcopy(model)
    fine_tune(model, data, RECIPE, run_dir=tmp_path)
    file = tmp_path / "checkpoint.pt"
    file.write_bytes(damage(file.read_bytes()))
    fine_tune(again, data, RECIPE, run_dir=tmp_path, resume=True)
    assert torch.equal(weights(model), weights(again))
    assert f"{file} is damaged" in caplog.text


def test_every_flipped_bit_is_noticed(model, data, tmp_path):
    again = copy.deepcopy(model)
    fine_tune(model, data, RECIPE, run_dir=tmp_path)
    (tmp_path / "checkpoint.previous.pt").unlink()
    file = tmp_path / "checkpoint.pt"
    content = file.read_bytes()
    for place in random.Random(0).sample(range(len(content)), 50):
        flipped = bytearray(content)
        flipped[place] ^= 1
        file.write_bytes(flipped)
        with pytest.raises(ArtifactError, match="is damaged"):
            fine_tune(again, data, RECIPE, run_dir=tmp_path, resume=True)


def test_a_forged_checkpoint_is_a_sentence(model, data, tmp_path):
    fine_tune(copy.deepcopy(model), data, RECIPE, run_dir=tmp_path)
    _, state = _content(tmp_path / "checkpoint.pt")
    for change in ({"trainer": {}}, {"history": [{"epoch": 1}]}, {"trainer": 3}, {"history": 3}):
        folder = RunFolder(path=tmp_path, identity=Identity.of(model, RECIPE, data))
        folder.save({**state, **change})
        with pytest.raises(ArtifactError, match="does not fit this run"):
            fine_tune(copy.deepcopy(model), data, RECIPE, run_dir=tmp_path, resume=True)


def test_two_trainings_in_one_folder_are_told_apart(model, data, tmp_path):
    with owned(tmp_path), pytest.raises(UsageError, match=f"by process {os.getpid()}"):
        fine_tune(model, data, RECIPE, run_dir=tmp_path)


def test_divergence_is_an_error_and_leaves_no_checkpoint(model, data, tmp_path):
    with pytest.raises(CompressError, match="training diverged") as caught:
        fine_tune(model, data, dataclasses.replace(RECIPE, lr=1e30), run_dir=tmp_path)
    assert "lower lr" in caught.value.hint
    assert not (tmp_path / "checkpoint.pt").exists()


@pytest.mark.parametrize(("distill", "teacher"), [(0.5, None), (0.0, nn.Identity())])
def test_distillation_and_teacher_go_together(model, data, distill, teacher):
    with pytest.raises(UsageError, match="distill"):
        fine_tune(model, data, dataclasses.replace(RECIPE, distill=distill), teacher=teacher)


def test_model_with_too_few_classes(data):
    with pytest.raises(UsageError, match="the model has 3 classes"):
        fine_tune(nn.Sequential(nn.Flatten(), nn.Linear(192, 3)), data, RECIPE)


def test_model_without_trainable_parameters(model, data):
    with pytest.raises(UsageError, match="no trainable parameters"):
        fine_tune(model.requires_grad_(False), data, RECIPE)


def test_mixed_precision_on_the_cpu_says_what_it_does(model, data, caplog):
    other = copy.deepcopy(model)
    fine_tune(model, data, dataclasses.replace(RECIPE, amp=True))
    assert "training in float32" in caplog.text
    fine_tune(other, data, RECIPE)
    assert torch.equal(weights(model), weights(other))


def test_early_stop(model, data):
    result = fine_tune(model, data, dataclasses.replace(RECIPE, epochs=50, patience=1, lr=1e-9))
    assert len(result.history) == 2


def test_a_person_sees_what_was_measured(model, data, monkeypatch):
    class Measured(Free):
        def measure(self, model):
            return {"distance": 0.25}

    seen = []
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setattr("rich.progress.Progress.update", lambda self, task, **shown: seen.append(shown))
    fine_tune(model, data, dataclasses.replace(RECIPE, epochs=2), constraint=Measured())
    described = list(dict.fromkeys(shown["description"] for shown in seen))
    assert described == ["epoch 1/2", "epoch 2/2, distance 0.25"]
    assert [shown["completed"] for shown in seen] == list(range(1, len(seen) + 1))


def test_no_progress_bar_without_a_terminal(model, data, capfd):
    fine_tune(model, data, RECIPE)
    assert capfd.readouterr() == ("", "")
