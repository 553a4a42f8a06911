"""A pruned model in one call."""

from torch import nn

from compressor.criteria import CRITERIA, Criterion
from compressor.prune import Batches, make_plan
from compressor.shrink import shrink
from compressor.types import RateSpec
from compressor.zoo import Architecture


def pruned(
    arch: Architecture,
    model: nn.Module,
    request: RateSpec,
    *,
    criterion: Criterion | None = None,
    batches: Batches | None = None,
) -> nn.Module:
    """Return a smaller copy of ``model``.

    Args:
        arch: where the model came from.
        model: built and loaded; it stays as it is.
        request: how much to remove.
        criterion: what to remove; l1 by default.
        batches: training images for criteria that need data.

    Raises:
        CompressError: tracing, the request or the oracle failed.
    """
    plan = make_plan(model, arch, request, criterion or CRITERIA.get("l1")(), batches).plan
    return shrink(model, plan)
