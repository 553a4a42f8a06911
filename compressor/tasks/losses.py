"""What training minimises, as sums over images, so that shards and micro-batches add up to the whole batch.

Label smoothing: Szegedy et al., Rethinking the Inception Architecture, 2016. Distillation: Hinton, Vinyals
and Dean, Distilling the Knowledge in a Neural Network, 2015.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from compressor.base.errors import UsageError
from compressor.tasks.recipe import Recipe


def training_loss(recipe: Recipe, logits: Tensor, labels: Tensor, teacher_logits: Tensor | None) -> Tensor:
    """Return (1 - d) * cross-entropy + d * distillation, summed over images; d is ``recipe.distill``.

    Args:
        recipe: label smoothing, distillation weight and temperature.
        logits: shape (n, classes).
        labels: int64 of shape (n,).
        teacher_logits: shape (n, classes), or None for the labels alone.
    """
    hard = F.cross_entropy(logits, labels, reduction="sum", label_smoothing=recipe.label_smoothing)
    if teacher_logits is None:
        return hard
    soft = distillation_loss(logits, teacher_logits, recipe.temperature)
    return (1 - recipe.distill) * hard + recipe.distill * soft


def distillation_loss(logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """Return T^2 * KL(softmax(teacher / T) || softmax(student / T)), summed over images.

    The factor T^2 keeps gradients of the size that the labels' have, whatever the temperature (Hinton et al.,
    section 2).

    Raises:
        UsageError: the two models have different numbers of classes.
    """
    if logits.shape != teacher_logits.shape:
        raise UsageError(
            f"the teacher has {teacher_logits.shape[-1]} classes and the student {logits.shape[-1]}",
            "distil from a model with the same classes",
        )
    student = F.log_softmax(logits / temperature, dim=1)
    teacher = F.log_softmax(teacher_logits / temperature, dim=1)
    return temperature**2 * F.kl_div(student, teacher, reduction="sum", log_target=True)


def logits_of(model: nn.Module, images: Tensor) -> Tensor:
    """Return the float32 logits of a classifier.

    Raises:
        UsageError: the model's output is not one tensor of shape (n, classes).
    """
    output = model(images)
    if not isinstance(output, Tensor) or output.ndim != 2:
        found = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise UsageError(
            f"the model's output is {found}, not one tensor of shape (images, classes)",
            "switch auxiliary outputs off, for instance aux_logits=False",
        )
    return output.to(torch.float32)
