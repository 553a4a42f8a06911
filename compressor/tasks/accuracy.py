"""Accuracy of a classifier over a split; under ``torchrun`` every worker scores its share."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from compressor.base import distributed
from compressor.base.errors import NotFiniteError, UsageError
from compressor.base.modes import evaluation
from compressor.data import ImageSet
from compressor.tasks.losses import logits_of
from compressor.tasks.scores import Accuracy


def evaluate(
    model: nn.Module, images: ImageSet, *, batch_size: int = 128, device: torch.device | None = None
) -> Accuracy:
    """Return the accuracy of ``model``, which moves to ``device`` and keeps its training mode.

    Args:
        model: returns logits of shape (n, classes).
        images: what to score.
        batch_size: images per forward pass and worker.
        device: where to compute; None means the CPU.

    Raises:
        NotFiniteError: logits are NaN or infinite.
        UsageError: the model's output is not one tensor of logits, or a label is beyond its classes.
    """
    device = device or torch.device("cpu")
    model.to(device)
    totals = torch.zeros(4, dtype=torch.float64, device=device)
    shards = images.batches(batch_size, device=device, rank=distributed.rank(), world=distributed.world())
    with evaluation(model), torch.inference_mode():
        for batch, labels in shards:
            totals += _score(logits_of(model, batch), labels)
    top1, top5, loss, count = distributed.all_reduce_sum(totals).tolist()
    if not math.isfinite(loss):
        raise NotFiniteError(
            f"the model computes NaN or infinity on some of {int(count)} images",
            "its weights or the training that made them are broken: take an earlier checkpoint.",
        )
    return Accuracy(top1=100 * top1 / count, top5=100 * top5 / count, images=int(count), loss=loss / count)


def _score(logits: Tensor, labels: Tensor) -> Tensor:
    """Return (right at first guess, right within five, summed cross-entropy, images) as float64."""
    classes = logits.shape[1]
    if int(labels.max()) >= classes:
        raise UsageError(
            f"an image has label {int(labels.max())}, but the model has {classes} classes",
            "open the data with the model's number of classes to find it",
        )
    guesses = logits.topk(min(5, classes), dim=1).indices
    hits = guesses == labels[:, None]
    loss = F.cross_entropy(logits, labels, reduction="sum")
    return torch.stack([hits[:, 0].sum(), hits.sum(), loss, torch.tensor(len(labels))]).to(
        logits.device, torch.float64
    )
