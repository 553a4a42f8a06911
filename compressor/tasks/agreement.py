"""Does a quantised classifier decide as the original does, where the original's decision is clear?

Differences and correlation let two classes change places: eight bits may move an output that far. What they
may not do is turn a decision that was never close. An image is clear if PyTorch's best class leads the second
by a quarter of the range of all its outputs. That, and the least number of images, are judgements: they were
not fitted to real networks. Untrained networks have few such images, or the same class for all of them;
those prove nothing and are not judged.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from compressor.base.errors import ParityError
from compressor.tasks.parity import Answers

LEAST_AGREEMENT: Final = 0.9
"""Share of the clear images for which both must name the same class."""
_CLEAR_MARGIN: Final = 0.25
_FEWEST_CLEAR: Final = 20


def check_agreement(answers: Sequence[Answers]) -> None:
    """Refuse a file that decides otherwise than PyTorch.

    Args:
        answers: every image once.

    Raises:
        ParityError: the best classes agree on too few of the clear images.
    """
    for name in answers[0].expected:
        expected = np.concatenate([answer.expected[name] for answer in answers]).astype(np.float64)
        found = np.concatenate([answer.found[name] for answer in answers])
        if expected.ndim != 2 or expected.shape[1] < 2:
            continue
        ranked = np.sort(expected, axis=1)
        clear = ranked[:, -1] - ranked[:, -2] >= _CLEAR_MARGIN * (ranked[:, -1] - ranked[:, 0])
        best, other = expected.argmax(axis=1)[clear], found.argmax(axis=1)[clear]
        if len(best) < _FEWEST_CLEAR or len(np.unique(best)) < 2:
            continue
        agreement = float(np.mean(best == other))
        if agreement < LEAST_AGREEMENT:
            raise ParityError(
                f"{name!r} names PyTorch's class for {agreement:.1%} of {len(best)} images that PyTorch is "
                f"clear about, the limit is {LEAST_AGREEMENT:.0%}",
                "export with --int8-auto, keep layers float with --keep-float, or give more --calib-images.",
            )
