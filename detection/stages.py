"""A detector as a row of stages over named values, so that each can be looked at by itself.

What is *continuous* (features, logits, codes, masks) can be compared number by number; what is *discrete*
(top-k, suppression, thresholds) only on exactly the same inputs, since rounding flips near ties.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from torch import Tensor

TAP: Final = "compress.tap."
"""What inner values are called in a file: this and their name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """Which of a discrete stage's values are rows that can be matched.

    Attributes:
        boxes: name of the boxes (B, N, 4).
        scores: name of the scores (B, N); a row in use scores above 0.
        labels: name of the labels (B, N), or None where there is one kind only.
    """

    boxes: str
    scores: str
    labels: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One step of a detector.

    Attributes:
        name: for messages.
        takes: names of values, in the order of ``run``'s arguments.
        gives: names of the values that ``run`` returns, in order.
        run: computes them.
        ranked: rows of a discrete stage; None where every number counts.
        shown: whether files hand out what it gives; what is only arranged anew is made again from its inputs.
    """

    name: str
    takes: tuple[str, ...]
    gives: tuple[str, ...]
    run: Callable[..., tuple[Tensor, ...]]
    ranked: Ranked | None = None
    shown: bool = True

    def __call__(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return what the stage makes of ``values``, by name."""
        return dict(zip(self.gives, self.run(*(values[name] for name in self.takes)), strict=True))


def carried_out(stages: Iterable[Stage], values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return ``values`` and everything that the stages make of them, one after the other."""
    known = dict(values)
    for stage in stages:
        known |= stage(known)
    return known
