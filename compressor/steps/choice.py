"""What is chosen within one group."""

from dataclasses import dataclass

import numpy as np

from compressor.base.errors import CompressError
from compressor.channels.components import Ids
from compressor.steps.channels import DROPPED


@dataclass(frozen=True, slots=True)
class Choice:
    """Which units of a group survive, and what becomes of the others.

    Attributes:
        keep: surviving units, ascending; at least one.
        into: the survivor whose consumers also read each unit from now on, (units,), `DROPPED` where nothing
            does; survivors stand for themselves. None drops all others.

    Raises:
        CompressError: units are named twice or not in order, or one merges into what does not survive.
    """

    keep: Ids
    into: Ids | None = None

    def __post_init__(self) -> None:
        ascending = bool((np.diff(self.keep) > 0).all())
        if not len(self.keep) or not ascending:
            raise CompressError("the units that survive are none, or not in order", _HINT)
        if self.into is None:
            return
        homeless = set(self.into.tolist()) - {DROPPED, *self.keep.tolist()}
        if homeless or not np.array_equal(self.into[self.keep], self.keep):
            raise CompressError("a unit merges into one that does not survive", _HINT)


_HINT = "report this: the method chose what cannot be."
