"""What every data set kind must do; a new file in compressor/data is tested without touching this one."""

import numpy as np
import pytest
import torch

from compressor.data import DATASETS, DataSplits, open_data
from compressor.tasks.recipe import Recipe

RECIPE = Recipe(batch_size=8)


@pytest.fixture(params=list(DATASETS))
def data(request, spec_of, inputs) -> DataSplits:
    return open_data(spec_of(request.param), inputs)


def training(images, cpu, recipe=RECIPE, epoch=1, rank=0, world=1):
    return list(images.training_batches(recipe, epoch=epoch, rank=rank, world=world, device=cpu))


def test_batches_have_the_promised_shapes_and_types(data, inputs, cpu):
    for images in (data.train, data.val, data.test):
        batches = list(images.batches(8, device=cpu))
        for pixels, labels in batches:
            assert pixels.dtype == torch.float32
            assert pixels.shape[1:] == inputs.image
            assert labels.dtype == torch.int64
            assert 0 <= int(labels.min()) <= int(labels.max()) < data.classes
        assert sum(len(labels) for _, labels in batches) == len(images) > 0


def test_pixels_are_normalised(data, inputs, cpu):
    pixels, _ = next(data.train.batches(len(data.train), device=cpu))
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (inputs.mean, inputs.std))
    restored = (pixels * std + mean) * 255
    assert torch.allclose(restored, restored.round(), atol=1e-2)
    assert restored.min() >= -0.01
    assert restored.max() <= 255.01


def test_evaluation_order_is_fixed(data, cpu):
    first, second = (torch.cat([x for x, _ in data.val.batches(3, device=cpu)]) for _ in range(2))
    assert torch.equal(first, second)


def test_validation_is_held_out_of_train(data):
    train, val = set(data.train.indices.tolist()), set(data.val.indices.tolist())
    assert not train & val
    assert train | val == set(range(len(train) + len(val)))
    assert len(val) == max(1, round(0.1 * (len(train) + len(val))))


def test_validation_split_is_the_same_every_time(data, inputs):
    assert np.array_equal(open_data(data.spec, inputs).val.indices, data.val.indices)


def test_training_order_depends_on_seed_and_epoch_only(data, cpu):
    first = training(data.train, cpu)
    again = training(data.train, cpu)
    assert all(torch.equal(a, b) and torch.equal(c, d) for (a, c), (b, d) in zip(first, again, strict=True))
    other_epoch = training(data.train, cpu, epoch=2)
    other_seed = training(data.train, cpu, recipe=Recipe(batch_size=8, seed=1))
    assert not torch.equal(first[0][0], other_epoch[0][0])
    assert not torch.equal(first[0][0], other_seed[0][0])


def test_workers_share_each_global_batch(data, cpu):
    whole = training(data.train, cpu)
    shards = [training(data.train, cpu, rank=rank, world=3) for rank in range(3)]
    for step, (images, labels) in enumerate(whole):
        for rank in range(3):
            assert torch.equal(shards[rank][step][0], images[rank::3])
            assert torch.equal(shards[rank][step][1], labels[rank::3])


def test_incomplete_last_batch_is_dropped_unless_it_is_the_only_one(data, cpu):
    batches = training(data.train, cpu)
    assert len(batches) == len(data.train) // 8
    assert all(len(labels) == 8 for _, labels in batches)
    (only,) = training(data.train, cpu, recipe=Recipe(batch_size=10**6))
    assert len(only[1]) == len(data.train)


def test_random_data_says_so_and_no_other_does(data):
    assert data.synthetic == data.spec.startswith("synthetic") == ("synthetic" in data.name)
