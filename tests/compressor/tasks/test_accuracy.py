import math

import pytest
import torch
from torch import nn

from compressor.base.errors import NotFiniteError, UsageError
from compressor.data import open_data
from compressor.tasks import task
from compressor.tasks.accuracy import evaluate
from compressor.tasks.task import TASKS
from compressor.zoo.inputs import InputSpec


class Fixed:
    """Images that are their own logits, under an identity model."""

    def __init__(self, logits, labels):
        self.logits, self.labels = logits, labels

    def __len__(self):
        return len(self.labels)

    def batches(self, batch_size, *, device, rank=0, world=1):
        yield from zip(self.logits.split(batch_size), self.labels.split(batch_size), strict=True)


def test_accuracy_by_hand():
    # classes ranked 6, 5, ..., 0 for every image: label 6 is first, 2 is fifth, 1 is sixth
    images = Fixed(torch.arange(7.0).repeat(4, 1), torch.tensor([6, 6, 2, 1]))
    accuracy = evaluate(nn.Identity(), images, batch_size=3)
    log_sum = math.log(sum(math.exp(value) for value in range(7)))
    assert (accuracy.top1, accuracy.top5, accuracy.images) == (50.0, 75.0, 4)
    assert accuracy.loss == pytest.approx(log_sum - (6 + 6 + 2 + 1) / 4)


def test_fewer_than_five_classes():
    assert evaluate(nn.Identity(), Fixed(torch.eye(3), torch.tensor([1, 1, 1]))).top5 == 100


def test_every_module_keeps_its_own_mode():
    data = open_data("synthetic:80x3x8x8", InputSpec(shapes=((3, 8, 8),)))
    model = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(192), nn.Linear(192, 10))
    model[1].eval()
    before = model[1].running_mean.clone()
    evaluate(model, data.val)
    assert [module.training for module in model.modules()] == [True, True, False, True]
    assert torch.equal(model[1].running_mean, before)


def test_label_beyond_the_models_classes():
    with pytest.raises(UsageError, match="label 3, but the model has 3 classes"):
        evaluate(nn.Identity(), Fixed(torch.eye(3), torch.tensor([0, 3, 1])))


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_no_accuracy_is_made_of_nan(value):
    logits = torch.eye(3)
    logits[1, 1] = value
    with pytest.raises(NotFiniteError, match="NaN or infinity"):
        evaluate(nn.Identity(), Fixed(logits, torch.tensor([0, 1, 2])))


def test_criteria_look_at_as_many_images_by_every_road():
    inputs = InputSpec(shapes=((3, 4, 4),))
    for name, images in (("classification", 1024),):
        data = open_data("synthetic:1500x3x4x4", inputs)
        seen = sum(TASKS.get(name).data.size(batch) for batch in task.calibration(data))
        assert seen == images
    assert TASKS.get("detection").data.calibration_images == 32
