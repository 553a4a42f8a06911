"""Central Filter without its merging, so that choosing and merging can be told apart."""

from dataclasses import dataclass

import numpy as np

from compressor.criteria.view import GroupView
from compressor.methods.central_filter import CentralFilter
from compressor.steps.choice import Choice


@dataclass(frozen=True, slots=True)
class Dropped(CentralFilter):
    """Central Filter's survivors, with nothing merged into them."""

    def choose(self, group: GroupView, importance: np.ndarray, count: int) -> Choice:
        """Return the survivors alone."""
        return Choice(keep=CentralFilter.choose(self, group, importance, count).keep)
