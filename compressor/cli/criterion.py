"""A criterion and its data from what the user typed."""

from collections.abc import Iterator, Sequence
from dataclasses import fields
from itertools import islice

import torch

from compressor.cli.training import parse_setting
from compressor.criteria import CRITERIA, Criterion
from compressor.data import DataSplits
from compressor.registry import unknown_name
from compressor.training.task import TASKS, Batch

_CALIBRATION_BATCHES = 8


def criterion_of(method: str, options: Sequence[str], seed: int) -> Criterion:
    """Return the criterion with the options given; one that is random gets the command's seed.

    Raises:
        UsageError: there is no such criterion or option, or an option's value is not allowed.
    """
    kind = CRITERIA.get(method)
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    values: dict[str, object] = {"seed": seed} if "seed" in known else {}
    for setting in options:
        key, value = parse_setting(setting, "--option")
        if key not in known:
            raise unknown_name(f"option of {method}", key, sorted(known))
        values[key] = value
    return kind(**values)


def calibration(data: DataSplits | None, criterion: Criterion) -> Iterator[Batch] | None:
    """Return the training images that a criterion looks at, None where it needs none or there are none."""
    if data is None or not criterion.needs:
        return None
    batches = data.train.batches(TASKS.get(data.task).batch_size, device=torch.device("cpu"))
    return islice(batches, _CALIBRATION_BATCHES)
