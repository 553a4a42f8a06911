"""The task of naming the class of an image."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from compressor.base.errors import UsageError
from compressor.base.modes import evaluation
from compressor.data import Batch, DataSplits, ImageSet, open_data
from compressor.tasks.accuracy import evaluate
from compressor.tasks.logits import compare_logits
from compressor.tasks.losses import logits_of, training_loss
from compressor.tasks.opened import Images, OpenFile, Pair, Run, Runnable
from compressor.tasks.parity import ParityReport
from compressor.tasks.recipe import Recipe
from compressor.tasks.scores import Accuracy
from compressor.tasks.task import TASKS, Task
from compressor.zoo.inputs import InputSpec


class LabelledImages:
    """Images with one label each."""

    batch_size = 128
    calibration_images = 1024

    def open(self, spec: str, inputs: InputSpec, model: nn.Module) -> DataSplits:
        """Open a data set whose labels fit the model's outputs."""
        return open_data(spec, inputs, classes=_classes(model, inputs))

    def check(self, model: nn.Module, data: DataSplits) -> None:
        """Refuse a model with fewer classes than the data."""
        device = next(model.parameters()).device
        split = data.val if len(data.val) else data.train
        images, _ = next(iter(split.batches(1, device=device)))
        with evaluation(model), torch.no_grad():
            classes = logits_of(model, images).shape[1]
        if classes < data.classes:
            raise UsageError(
                f"the model has {classes} classes, but {data.name} has {data.classes}",
                "use a model with at least as many classes as the data",
            )

    def size(self, batch: Batch) -> int:
        """Return the number of images."""
        return len(batch[1])

    def pieces(self, batch: Batch, parts: int) -> list[Batch]:
        """Cut images and labels alike."""
        images, labels = batch
        parts = min(parts, len(labels))
        return list(zip(images.tensor_split(parts), labels.tensor_split(parts), strict=True))

    def feeds(self, batch: Batch, inputs: InputSpec) -> tuple[NDArray[Any], ...]:
        """Return the images, which are normalised already."""
        return (batch[0].cpu().numpy(),)


class CrossEntropy:
    """Cross-entropy of logits."""

    recipe = Recipe()

    def loss(self, model: nn.Module, batch: Batch, recipe: Recipe, taught: object | None) -> Tensor:
        """Return cross-entropy, mixed with distillation where there is a teacher."""
        images, labels = batch
        assert taught is None or isinstance(taught, Tensor)
        return training_loss(recipe, logits_of(model, images), labels, taught)

    def teach(self, teacher: nn.Module, batch: Batch) -> Tensor:
        """Return the teacher's logits."""
        return logits_of(teacher, batch[0])


class TopClasses:
    """Top-1 and top-5."""

    def score(
        self,
        model: nn.Module,
        images: ImageSet,
        *,
        batch_size: int | None = None,
        device: torch.device | None = None,
    ) -> Accuracy:
        """Return top-1 and top-5."""
        return evaluate(model, images, batch_size=batch_size or LabelledImages.batch_size, device=device)

    def run(self, model: nn.Module, batch: Batch) -> object:
        """Return the model's output."""
        return model(batch[0])


class Logits:
    """Files whose output is what the model returns."""

    companion = None

    def properties(self, model: nn.Module) -> dict[str, str]:
        """Return nothing: shapes say it all."""
        return {}

    def remote(
        self, run: Run, names: Sequence[str], inputs: InputSpec, properties: Mapping[str, str]
    ) -> nn.Module:
        """Return a module whose logits are the session's first output."""
        return _Remote(run, names[0])

    def shapes(self, inputs: InputSpec) -> tuple[tuple[int, ...], ...]:
        """Return the file's own."""
        return inputs.shapes

    def remarks(self, model: nn.Module) -> tuple[str, ...]:
        """Return nothing."""
        return ()

    def compare(
        self, reference: Runnable, candidate: OpenFile, pair: Pair, images: Images | None
    ) -> ParityReport:
        """Compare every output number by number; quantised files also by the classes that they name."""
        return compare_logits(reference, candidate, pair, images)


class _Remote(nn.Module):
    def __init__(self, run: Run, name: str) -> None:
        super().__init__()
        self._run, self._name = run, name

    def forward(self, images: Tensor) -> Tensor:
        outputs = self._run({self._name: images.cpu().numpy()})
        return torch.from_numpy(np.asarray(next(iter(outputs.values())), dtype=np.float32))


def _classes(model: nn.Module, inputs: InputSpec) -> int | None:
    """Return the number of outputs, or None where the model is no classifier; errors come when it trains."""
    device = next(model.parameters(), torch.empty(0)).device
    with evaluation(model), torch.no_grad():
        out = model(*(torch.zeros(1, *shape, device=device) for shape in inputs.shapes))
    return int(out.shape[1]) if isinstance(out, Tensor) and out.ndim == 2 else None


CLASSIFICATION: Final = Task(
    data=LabelledImages(), learning=CrossEntropy(), scoring=TopClasses(), serving=Logits()
)
TASKS.register("classification")(CLASSIFICATION)
