"""Which form of non-maximum suppression a graph has."""

from collections.abc import Sequence

from torch import nn

from detection.static.nms import IteratedSuppression
from detection.static.settings import StaticSettings


def suppression(counts: Sequence[int], threshold: float, settings: StaticSettings) -> nn.Module:
    """Return the module that ``settings.nms`` names: (boxes, valid) -> `Survivors`."""
    if settings.nms == "iterated":
        return IteratedSuppression(counts, threshold, settings)
    from detection.static.nms_op import OperatorSuppression  # imports an exporter

    return OperatorSuppression(threshold)
