"""What a model takes."""

import math
from dataclasses import dataclass

from compressor.base.errors import UsageError

MOST_ELEMENTS = 2**28
"""Elements of one input of one sample, a gigabyte in single precision."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSpec:
    """What a model takes: one shape per input, without the batch axis, and how images are normalised.

    Attributes:
        shapes: one shape per positional input of ``forward``, channels first.
        mean: per-channel mean of the training images in 0..1, subtracted from the first input.
        std: per-channel standard deviation, in 0..1.
        ranges: lowest and highest example value of each input; without it, examples are normal noise.
        max_batch: most samples in a call; None for any number.
    """

    shapes: tuple[tuple[int, ...], ...]
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    ranges: tuple[tuple[float, float], ...] = ()
    max_batch: int | None = None

    def __post_init__(self) -> None:
        numbers = [n for shape in self.shapes for n in shape]
        known = 1 <= len(self.shapes) <= 16 and all(1 <= len(shape) <= 5 for shape in self.shapes)
        if not known or any(n < 1 for n in numbers) or any(math.prod(s) > MOST_ELEMENTS for s in self.shapes):
            raise UsageError(
                f"input {str(self.shapes)[:80]} is no input that a model could take",
                f"give 1 to 16 shapes of positive numbers, at most {MOST_ELEMENTS:,} elements: 3x224x224.",
            )
        if any(value <= 0 for value in self.std) or (self.max_batch is not None and self.max_batch < 1):
            raise UsageError(
                f"std is {self.std}, max_batch {self.max_batch}", "both are above 0; leave max_batch out."
            )

    @property
    def image(self) -> tuple[int, ...]:
        """Shape of the first input, (channels, height, width) for an image model."""
        return self.shapes[0]
