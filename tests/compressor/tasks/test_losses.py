import math

import pytest
import torch
from torch import nn

from compressor.base.errors import UsageError
from compressor.tasks.losses import distillation_loss, logits_of, training_loss
from compressor.tasks.recipe import Recipe

# softmax of (log 3, 0) is (3/4, 1/4), of (0, 0) is (1/2, 1/2)
TEACHER = torch.tensor([[math.log(3), 0.0]])
STUDENT = torch.zeros(1, 2)
KL = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)


def test_distillation_by_hand():
    assert distillation_loss(STUDENT, TEACHER, 1.0).item() == pytest.approx(KL)


def test_temperature_softens_and_is_compensated():
    # logits times T, softened by T, are the same distributions; the loss is T^2 times as large
    assert distillation_loss(3 * STUDENT, 3 * TEACHER, 3.0).item() == pytest.approx(9 * KL)


def test_the_mixture_by_hand():
    recipe = Recipe(distill=0.25, temperature=1.0)
    loss = training_loss(recipe, STUDENT, torch.tensor([0]), TEACHER)
    assert loss.item() == pytest.approx(0.75 * math.log(2) + 0.25 * KL)


def test_label_smoothing_by_hand():
    # targets 0.9 + 0.1/2 and 0.1/2 against (3/4, 1/4)
    loss = training_loss(Recipe(label_smoothing=0.1), TEACHER, torch.tensor([0]), None)
    assert loss.item() == pytest.approx(-0.95 * math.log(0.75) - 0.05 * math.log(0.25))


def test_losses_are_sums_over_images():
    recipe = Recipe(distill=0.5, label_smoothing=0.1)
    logits, taught, labels = torch.randn(6, 4), torch.randn(6, 4), torch.arange(6) % 4
    parts = sum(training_loss(recipe, logits[i::2], labels[i::2], taught[i::2]) for i in range(2))
    torch.testing.assert_close(training_loss(recipe, logits, labels, taught), parts)


def test_teacher_with_other_classes():
    with pytest.raises(UsageError, match="teacher has 3 classes and the student 2"):
        distillation_loss(STUDENT, torch.zeros(1, 3), 1.0)


class Pair(nn.Module):
    def forward(self, images):
        return images, images


@pytest.mark.parametrize(("model", "found"), [(Pair(), "tuple"), (nn.Identity(), r"\(2, 3, 4, 4\)")])
def test_output_that_is_no_tensor_of_logits(model, found):
    with pytest.raises(UsageError, match=found):
        logits_of(model, torch.zeros(2, 3, 4, 4))
