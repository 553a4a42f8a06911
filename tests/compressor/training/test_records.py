import pytest

from compressor.tasks.recipe import Recipe
from compressor.training.records import EpochRecord, best_epoch, finished


def history(*scores):
    return [
        EpochRecord(epoch=n, lr=0, train_loss=0, val_quality=top1, val_loss=loss, seconds=0, images_per_s=0)
        for n, (top1, loss) in enumerate(scores, start=1)
    ]


def test_best_epoch_is_the_most_accurate_and_then_the_most_certain():
    assert best_epoch([]) == 0
    assert best_epoch(history((50, 1), (70, 2), (60, 0))) == 2
    assert best_epoch(history((70, 2), (70, 1), (70, 1))) == 2


@pytest.mark.parametrize(
    ("tops", "patience", "done"),
    [((), 2, False), ((5, 4), 2, False), ((5, 4, 4), 2, True), ((5, 5, 5), 2, True), ((5, 4, 6), 2, False)],
)
def test_patience(tops, patience, done):
    assert finished(history(*((top, 0) for top in tops)), Recipe(epochs=9, patience=patience)) is done


def test_no_patience_never_stops_early():
    assert not finished(history(*[(1, 1)] * 8), Recipe(epochs=9))
    assert finished(history(*[(1, 1)] * 9), Recipe(epochs=9))


def test_without_validation_the_last_epoch_counts_and_nothing_stops_early():
    records = history((None, None), (None, None), (None, None))
    assert best_epoch(records) == 3
    assert not finished(records, Recipe(epochs=9, patience=1))
    assert records[0].describe() == "loss 0.0000, 0.0 images/s"
