"""The dense and the small model, run side by side on the same images."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import torch
from torch import nn

from compressor.base.modes import evaluation
from compressor.repairing.fit import Block
from compressor.repairing.routine import Routine, unlike
from compressor.repairing.rows import inputs_at, outputs_at
from compressor.repairing.watching import Call, Layer, Tail, Watched, Watcher
from compressor.tasks.task import Batch

Run = Callable[[nn.Module, Batch], object]


@dataclass(frozen=True, slots=True)
class Met:
    """One run of a layer in both models, on the same images."""

    dense: Call
    small: Call


@dataclass(slots=True)
class Pair:
    """Both models' passes over one piece of the images."""

    dense: Routine[Call]
    small: Routine[Call]

    def advance(self) -> Met | None:
        """Go on to the next tail of both; None at the end.

        Raises:
            CompressError: they do not run alike.
        """
        ours, theirs = self.dense.advance(), self.small.advance()
        if ours is None and theirs is None:
            return None
        if ours is None or theirs is None or ours.layer != theirs.layer:
            raise unlike()
        return Met(ours, theirs)

    def close(self) -> None:
        """End both."""
        self.dense.close()
        self.small.close()


@dataclass
class Models:
    """Both models with their watchers.

    Attributes:
        dense: as it is run.
        small: as it is run, a copy that may be changed.
        run: runs a model on a batch.
    """

    dense: nn.Module
    small: nn.Module
    run: Run
    _dense: Watched = field(init=False)
    _small: Watched = field(init=False)

    def __post_init__(self) -> None:
        self._dense, self._small = Watched(self.dense), Watched(self.small)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Put both in evaluation mode and watch them."""
        with ExitStack() as stack:
            for model, watched in ((self.dense, self._dense), (self.small, self._small)):
                stack.enter_context(evaluation(model))
                stack.enter_context(watched.hooked())
            yield

    def learn(self, batch: Batch) -> list[Call]:
        """Return every run of a layer of the dense model, with its tail, in order of the tails."""
        watcher = Watcher(None, lambda call: None)
        self._dense.run(watcher, lambda: self.run(self.dense, batch))
        return sorted(watcher.calls, key=lambda call: call.at)

    @contextmanager
    def side_by_side(self, batch: Batch, tails: dict[str, Tail]) -> Iterator[Pair]:
        """Yield a pair that pauses at ``tails``, and end it."""

        def routine(watched: Watched, model: nn.Module) -> Routine[Call]:
            return Routine(lambda pause: watched.run(Watcher(tails, pause), lambda: self.run(model, batch)))

        pair = Pair(routine(self._dense, self.dense), routine(self._small, self.small))
        try:
            yield pair
        finally:
            pair.close()


@dataclass(frozen=True, slots=True)
class Draw:
    """Which rows of a layer are fitted.

    Attributes:
        layer: of the small model.
        kept: its outputs' positions in the dense layer; None for all.
        share: of all positions.
        seed: of the draw.
    """

    layer: Layer
    kept: torch.Tensor | None
    share: float
    seed: int

    def block(self, met: Iterable[Met], number: int) -> Block:
        """Return the rows of one piece: of all its runs of the layer."""
        generator = torch.Generator().manual_seed(1_000_003 * self.seed + number)
        blocks = [self._rows(one, generator) for one in met]
        return Block(*(torch.cat(parts, dim=-2) for parts in zip(*blocks, strict=True)))

    def _rows(self, met: Met, generator: torch.Generator) -> tuple[torch.Tensor, ...]:
        images = len(met.small.output)
        each = met.small.rows // images
        count = max(1, min(each, round(self.share * each)))
        some = images if self.share * each >= 1 else max(1, round(images * self.share * each))
        positions = torch.randperm(each, generator=generator)[:count]
        chosen = torch.randperm(images, generator=generator)[:some] if some < images else slice(None)
        z = outputs_at(self.layer, met.dense.output[chosen], positions)
        return (
            inputs_at(self.layer, met.small.inputs[chosen], positions),
            z if self.kept is None else z[:, self.kept],
            outputs_at(self.layer, met.small.output[chosen], positions),
        )
