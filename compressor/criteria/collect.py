"""Collect from data what criteria need, once for all groups."""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from compressor.criteria import Criterion
from compressor.criteria.view import Stat, Statistics
from compressor.errors import UsageError
from compressor.modes import evaluation


def collect(
    model: nn.Module, criterion: Criterion, batches: Iterable[tuple[Tensor, Tensor]] | None
) -> Statistics:
    """Return the statistics that a criterion needs.

    Args:
        model: left as it is; gradients are cleared.
        criterion: says what it needs.
        batches: (images, labels) from the training split; None if no data was given.

    Raises:
        UsageError: data is needed and there is none.
    """
    if not criterion.needs:
        return Statistics()
    if batches is None:
        needed = ", ".join(sorted(stat.value for stat in criterion.needs))
        raise UsageError(
            f"criterion {type(criterion).__name__.lower()} needs {needed} from data",
            "give training images with --data, for instance --data digits.",
        )
    gradients = _gradients(model, batches) if Stat.GRADIENTS in criterion.needs else {}
    return Statistics(gradients=gradients)


def _gradients(model: nn.Module, batches: Iterable[tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    """Return the mean gradient of the cross-entropy over all images, norms in evaluation mode."""
    model.zero_grad(set_to_none=True)
    images = 0
    with evaluation(model), torch.enable_grad():
        for x, labels in batches:
            F.cross_entropy(model(x), labels, reduction="sum").backward()
            images += len(labels)
    found = {n: p.grad / max(images, 1) for n, p in model.named_parameters() if p.grad is not None}
    model.zero_grad(set_to_none=True)
    return found
