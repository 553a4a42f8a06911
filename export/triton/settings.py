"""What a server operator decides about a model; the rest is read from the model's file."""

import re
from dataclasses import dataclass
from typing import Literal

from compressor.base.errors import UsageError
from compressor.base.text import foreign, is_one_line


@dataclass(frozen=True, slots=True, kw_only=True)
class TritonSettings:
    """How Triton serves a model.

    Attributes:
        name: of the model; also of its folder.
        max_batch: images per call of the model at most; 0 for a file whose batch size is fixed.
        preferred_batches: batch sizes that the dynamic batcher sends at once; without them it sends whatever
            came in, which suits everything but an engine that was tuned for some sizes.
        max_queue_delay_us: how long the dynamic batcher keeps an image waiting for others, microseconds.
        device: where it runs; there is no fallback to the other one.
        instances: copies of the model, on each GPU or altogether on the CPU.
        gpus: numbers of the GPUs, () for all of them.
        labels: names of the classes, in the order of the model's outputs.

    Raises:
        UsageError: a value that Triton would refuse when it loads the model.
    """

    name: str
    max_batch: int = 8
    preferred_batches: tuple[int, ...] = ()
    max_queue_delay_us: int = 100
    device: Literal["gpu", "cpu"] = "gpu"
    instances: int = 1
    gpus: tuple[int, ...] = ()
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", self.name):
            raise UsageError(
                f"{self.name!r} cannot be the name of a Triton model", "use letters, digits, '_', '-' and '.'"
            )
        self._check_numbers()
        if any(not 1 <= size <= self.max_batch for size in self.preferred_batches):
            raise UsageError(
                f"preferred batch sizes {list(self.preferred_batches)} are not within 1..{self.max_batch}",
                "choose sizes up to the largest batch",
            )
        if self.gpus and self.device == "cpu":
            raise UsageError(
                f"GPUs {list(self.gpus)} do not go with the CPU", "leave them out, or serve on the GPU"
            )
        for number, label in enumerate(self.labels):
            if not is_one_line(label):
                raise UsageError(
                    f"the name of class {number}, '{foreign(label)}', is empty or more than a line of text",
                    "give one line per class, without control characters",
                )

    def _check_numbers(self) -> None:
        limits = (
            ("the largest batch", self.max_batch, 0),
            ("the queue delay in microseconds", self.max_queue_delay_us, 0),
            ("the number of instances", self.instances, 1),
            *(("the number of a GPU", gpu, 0) for gpu in self.gpus),
        )
        for what, value, least in limits:
            if value < least:
                raise UsageError(f"{what} is {value}", f"give a number from {least}")
