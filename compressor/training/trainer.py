"""One epoch of training, and everything that must survive between two of them."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

import numpy as np
import torch
from torch import Tensor, nn

from compressor.base import distributed
from compressor.base.errors import CompressError, NotFiniteError, UsageError
from compressor.data import DataSplits
from compressor.data.images import steps_in_epoch
from compressor.tasks.recipe import Recipe
from compressor.tasks.scores import Score
from compressor.tasks.task import TASKS, Batch
from compressor.training.checkpoint import State
from compressor.training.constraints import FREE, Constraint, ParameterGroup
from compressor.training.ema import AveragedWeights
from compressor.training.precision import precision_for
from compressor.training.records import EpochRecord
from compressor.training.schedule import lr_at

_CHECK_EVERY = 16  # steps; looking at the loss waits for the GPU


class Trainer:
    """A model in training: optimiser, averaged weights, teacher, and the worker's part of the data.

    Gradients add up to those of the whole batch however it is cut: every micro-batch on every worker
    contributes its *summed* loss over the size of the global batch. (Batch normalisation is the exception: it
    sees one micro-batch of one worker at a time.)
    """

    def __init__(
        self,
        model: nn.Module,
        data: DataSplits,
        recipe: Recipe,
        teacher: nn.Module | None,
        device: torch.device,
        constraint: Constraint = FREE,
    ) -> None:
        self._model = model.to(device)
        self._data = data
        self._task = TASKS.get(data.task)
        self._recipe = recipe
        self._teacher = teacher.to(device) if teacher else None
        self._device = device
        self._parallel = distributed.data_parallel(self._model)
        self._constraint = constraint
        self._optimizer = _sgd(constraint.parameters(self._model), recipe)
        self._precision = precision_for(device, amp=recipe.amp)
        self._averaged = AveragedWeights(self._model, recipe.ema) if recipe.ema > 0 else None
        self.steps = steps_in_epoch(len(data.train), recipe.batch_size)
        self._batch = min(recipe.batch_size, len(data.train))

    @property
    def candidate(self) -> nn.Module:
        """The model whose accuracy counts: the averaged one if there is one."""
        return self._averaged.model if self._averaged else self._model

    def run_epoch(self, epoch: int, report: Callable[[int, int], None]) -> EpochRecord:
        """Train for one epoch, counted from 1, and validate where there are images for it.

        Raises:
            CompressError: the loss is no longer a finite number.
        """
        start = time.perf_counter()
        loss, trained = self._train(epoch, report)
        training_seconds = time.perf_counter() - start
        score = self._validate(epoch)
        return EpochRecord(
            epoch=epoch,
            lr=self._lr(epoch, self.steps - 1),
            train_loss=loss,
            val_quality=score.quality if score else None,
            val_loss=score.loss if score else None,
            seconds=time.perf_counter() - start,
            images_per_s=trained / training_seconds,
            measures=self._measures(),
        )

    def state(self) -> State:
        """Return everything that the next epoch depends on."""
        return {
            "model": self._model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "scaler": self._precision.scaler.state_dict(),
            "averaged": self._averaged.model.state_dict() if self._averaged else None,
        }

    def restore(self, state: State) -> None:
        """Continue from what ``state`` returned, in this process or another."""
        self._model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._precision.scaler.load_state_dict(state["scaler"])
        if self._averaged:
            self._averaged.model.load_state_dict(state["averaged"])

    def close(self) -> None:
        """Free the gradients and leave the model in evaluation mode."""
        self._optimizer.zero_grad(set_to_none=True)
        self._model.eval()

    def _train(self, epoch: int, report: Callable[[int, int], None]) -> tuple[float, int]:
        """Return (mean loss, number of images), both over all workers."""
        rank, world = distributed.rank(), distributed.world()
        total = torch.zeros((), dtype=torch.float64, device=self._device)
        batches = self._data.train.training_batches(
            self._recipe, epoch=epoch, rank=rank, world=world, device=self._device
        )
        self._model.train()
        with _randomness(self._recipe.seed, epoch, rank, self._device):
            for step, batch in enumerate(batches):
                total += self._step(batch, self._lr(epoch, step))
                if (step + 1) % _CHECK_EVERY == 0 or step + 1 == self.steps:
                    self._require_finite(total.item(), epoch, step)
                report(epoch, step + 1)
        trained = self.steps * self._batch
        return distributed.all_reduce_sum(total).item() / trained, trained

    def _step(self, batch: Batch, lr: float) -> Tensor:
        """Take one optimiser step; return the summed loss of this worker's images."""
        for group in self._optimizer.param_groups:
            group["lr"] = lr
        self._optimizer.zero_grad(set_to_none=True)
        pieces = self._task.data.pieces(batch, self._recipe.accumulate)
        total = torch.zeros((), dtype=torch.float64, device=self._device)
        for number, piece in enumerate(pieces, start=1):
            last = number == len(pieces)
            with nullcontext() if last else distributed.local_gradients(self._parallel):
                total += self._backward(piece)
        self._take(lr)
        return total

    @torch.no_grad()
    def _take(self, lr: float) -> None:
        """Change the weights by their gradients, as the constraint lets them."""
        scaler = self._precision.scaler
        scaler.unscale_(self._optimizer)
        self._constraint.before_step(self._model, lr)
        scaler.step(self._optimizer)
        scaler.update()
        self._constraint.after_step(self._model)
        if self._averaged:
            self._averaged.update(self._model)

    @torch.no_grad()
    def _measures(self) -> dict[str, float]:
        return self._constraint.measure(self.candidate)

    def _backward(self, batch: Batch) -> Tensor:
        with self._precision.autocast():
            loss = self._task.learning.loss(self._parallel, batch, self._recipe, self._taught(batch))
        # workers' gradients are averaged, hence times their number
        share = loss * (distributed.world() / self._batch)
        torch.autograd.backward(self._precision.scaler.scale(share))
        return loss.detach()

    @torch.no_grad()
    def _taught(self, batch: Batch) -> object | None:
        return self._task.learning.teach(self._teacher, batch) if self._teacher else None

    def _validate(self, epoch: int) -> Score | None:
        distributed.average_buffers(self._model)
        if self._averaged:
            distributed.average_buffers(self._averaged.model)
        if not len(self._data.val):
            return None
        shares = self._recipe.accumulate * distributed.world()
        batch = max(1, self._recipe.batch_size // shares)  # as much memory as a micro-batch
        try:
            score = self._task.scoring.score(
                self.candidate, self._data.val, batch_size=batch, device=self._device
            )
        except NotFiniteError as error:
            raise self._diverged(math.nan, epoch, self.steps - 1) from error
        self._require_finite(score.loss, epoch, self.steps - 1)
        return score

    def _lr(self, epoch: int, step: int) -> float:
        return lr_at(self._recipe, (epoch - 1) * self.steps + step, self.steps)

    def _require_finite(self, loss: float, epoch: int, step: int) -> None:
        if not math.isfinite(loss):
            raise self._diverged(loss, epoch, step)

    def _diverged(self, loss: float, epoch: int, step: int) -> CompressError:
        return CompressError(
            f"training diverged: the loss is {loss} in epoch {epoch} by step {step + 1} of {self.steps}, "
            f"at learning rate {self._lr(epoch, step):.3g}",
            f"lower lr (now {self._recipe.lr:g}), or add warmup_epochs",
        )


def _sgd(groups: list[ParameterGroup], recipe: Recipe) -> torch.optim.SGD:
    if not any(group["params"] for group in groups):
        raise UsageError("the model has no trainable parameters", "set requires_grad on those to be trained")
    return torch.optim.SGD(
        groups,
        lr=recipe.lr,
        momentum=recipe.momentum,
        nesterov=recipe.nesterov and recipe.momentum > 0,  # without momentum the two are the same
        weight_decay=recipe.weight_decay,
    )


@contextmanager
def _randomness(seed: int, epoch: int, rank: int, device: torch.device) -> Iterator[None]:
    """Seed dropout and its like by the epoch, and give the caller's generator back afterwards.

    That is why a checkpoint holds no generator state: an epoch is the same in the process that began the run
    and in the one that resumed it. Workers draw differently.
    """
    index = torch.cuda.current_device() if device.type == "cuda" and device.index is None else device.index
    with torch.random.fork_rng([index] if device.type == "cuda" else []):
        torch.manual_seed(int(np.random.SeedSequence([seed, epoch, rank]).generate_state(1, np.uint32)[0]))
        yield
