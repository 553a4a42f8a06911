import torch

from compressor.data import open_data


def test_sizes_and_labels(inputs, cpu):
    data = open_data("synthetic:400x3x32x32", inputs)
    assert (len(data.train), len(data.val), len(data.test)) == (360, 40, 100)
    _, labels = next(data.train.batches(400, device=cpu))
    assert set(labels.tolist()) == set(range(10))


def test_it_is_the_same_every_time_but_train_is_not_test(inputs, cpu):
    first, second = (open_data("synthetic:8x3x32x32", inputs) for _ in range(2))
    (a, _), (b, _) = (next(data.test.batches(2, device=cpu)) for data in (first, second))
    assert torch.equal(a, b)
    (c, _) = next(first.train.batches(2, device=cpu))
    assert not torch.equal(a, c)
