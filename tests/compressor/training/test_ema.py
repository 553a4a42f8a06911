import torch
from torch import nn

from compressor.training import AveragedWeights


def test_two_updates_by_hand():
    model = nn.Linear(1, 1)
    nn.init.constant_(model.weight, 8.0)
    averaged = AveragedWeights(model, 0.75)
    for weight in (0.0, 4.0):
        nn.init.constant_(model.weight, weight)
        averaged.update(model)
    # 0.75 * 8 + 0.25 * 0 = 6, then 0.75 * 6 + 0.25 * 4 = 5.5
    assert averaged.model.weight.item() == 5.5


def test_running_statistics_are_averaged_and_counters_copied():
    model = nn.BatchNorm2d(1)
    averaged = AveragedWeights(model, 0.5)
    model(torch.full((2, 1, 2, 2), 10.0))
    assert model.running_mean.item() == 1
    averaged.update(model)
    assert averaged.model.running_mean.item() == 0.5
    assert averaged.model.num_batches_tracked.item() == 1


def test_a_shared_weight_moves_once():
    model = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1))
    model[1].weight = model[0].weight
    nn.init.constant_(model[0].weight, 1.0)
    averaged = AveragedWeights(model, 0.5)
    nn.init.constant_(model[0].weight, 2.0)
    averaged.update(model)
    assert averaged.model[0].weight.item() == averaged.model[1].weight.item() == 1.5


def test_the_copy_is_its_own_and_needs_no_gradients():
    model = nn.Linear(1, 1)
    averaged = AveragedWeights(model, 0.9)
    assert not averaged.model.training
    assert not any(parameter.requires_grad for parameter in averaged.model.parameters())
    assert model.training
    assert model.weight.requires_grad
