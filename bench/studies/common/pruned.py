"""A pruned model in one call."""

from torch import nn

from compressor.artifact import Artifact
from compressor.criteria import CRITERIA, Criterion
from compressor.methods import prune
from compressor.methods.ranked import Ranked
from compressor.methods.ranking import Batches
from compressor.rates import PruneRequest
from compressor.zoo import Architecture


def pruned(
    arch: Architecture,
    model: nn.Module,
    request: PruneRequest,
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
    method = Ranked(criterion or CRITERIA.get("l1")())
    return prune(Artifact.of(model, arch), request, method, batches, words="a study").module
