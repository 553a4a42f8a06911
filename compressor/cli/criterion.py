"""A criterion and its data from what the user typed."""

from collections.abc import Iterator, Sequence

from compressor.cli.training import parse_setting
from compressor.criteria import Criterion, criterion_of
from compressor.data import DataSplits
from compressor.tasks import task
from compressor.tasks.task import Batch


def chosen_criterion(method: str, options: Sequence[str], seed: int) -> Criterion:
    """Return the criterion with options as typed, ``key=value``.

    Raises:
        UsageError: there is no such criterion or option, or an option's value is not allowed.
    """
    return criterion_of(method, dict(parse_setting(option, "--option") for option in options), seed)


def calibration(data: DataSplits | None, criterion: Criterion) -> Iterator[Batch] | None:
    """Return the training images that a criterion looks at, None where it needs none or there are none."""
    if data is None or not criterion.needs:
        return None
    return task.calibration(data)
