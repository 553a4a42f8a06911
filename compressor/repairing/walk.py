"""Layer by layer through both models, each layer fitted on what the repaired ones before it pass on.

All pieces of the images advance together: paused at the tail of one layer, they give the rows of its problem,
are told the change, and go on. That is one pass for the whole network. Two things ask for more passes, one
per layer: a layer that runs several times for one image, whose first run would go on before the last was
seen, and images whose paused passes would not fit into the memory that is allowed. Most networks narrow:
the first layers, whose maps are large, are a pass each, which ends there; the others share one.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from compressor.artifact.repaired import LayerRepair
from compressor.base.errors import NotFiniteError
from compressor.base.memory import trim
from compressor.repairing.fit import Block, Change, Place, fitted
from compressor.repairing.pairs import Draw, Met, Models, Pair
from compressor.repairing.routine import unlike
from compressor.repairing.rows import along_channels, change_of, columns_of, groups_of
from compressor.repairing.settings import RepairSettings
from compressor.repairing.watching import Layer, Tail, scale_of
from compressor.tasks.task import Batch

_ROWS_PER_COLUMN = 24
_MOST_BYTES = 3 * 2**28  # of the rows of one layer


@dataclass(frozen=True, slots=True)
class Stop:
    """One layer that is repaired.

    Attributes:
        name: of the layer.
        tail: what follows it.
        runs: how often it runs for one image.
        rows: positions of one image, of all runs together.
        paused: about how many bytes a pair of passes over one image holds, here or later.
    """

    name: str
    tail: Tail
    runs: int
    rows: int
    paused: int


@dataclass(frozen=True)
class Walk:
    """Everything that the layers of one repair share.

    Attributes:
        models: both; the small one is changed.
        pieces: parts of the images.
        images: in all pieces.
        kept: layer -> positions of its outputs in the dense model.
        settings: how.
        tick: called often, for a sign of life.
    """

    models: Models
    pieces: Sequence[Batch]
    images: int
    kept: dict[str, Tensor]
    settings: RepairSettings
    tick: Callable[[str], None]

    def repaired(self, stops: Sequence[Stop]) -> list[LayerRepair]:
        """Repair layers in order."""
        found: list[LayerRepair] = []
        while len(found) < len(stops):
            rest = stops[len(found) :]
            ahead = next((n for n, stop in enumerate(rest) if not self._together(stop)), len(rest))
            found += self._in_step(rest[:ahead]) if ahead else [self._alone(rest[0])]
            trim()  # what every thread of a pass has freed
        return found

    def _together(self, stop: Stop) -> bool:
        """Say whether all pieces can wait at a layer at once."""
        return stop.runs == 1 and stop.paused * self.images <= self.settings.memory

    def _in_step(self, stops: Sequence[Stop]) -> list[LayerRepair]:
        """Repair layers in one pass of all pieces."""
        with ExitStack() as stack:
            tails = {stop.name: stop.tail for stop in stops}
            pairs = [stack.enter_context(self.models.side_by_side(piece, tails)) for piece in self.pieces]
            return [self._next(pairs, stop) for stop in stops]

    def _next(self, pairs: Sequence[Pair], stop: Stop) -> LayerRepair:
        met = [self._advanced(pair, stop) for pair in pairs]
        draw = self._draw(stop)
        blocks = [draw.block([one], number) for number, one in enumerate(met)]
        place, change = self._fit(stop, blocks)
        for one in met if change.ridge else ():
            _correct(draw.layer, one, place, change)
        return _report(stop, draw.layer, blocks, change)

    def _alone(self, stop: Stop) -> LayerRepair:
        """Repair one layer in a pass of its own, piece by piece."""
        draw, blocks = self._draw(stop), []
        for number, piece in enumerate(self.pieces):
            self.tick(stop.name)
            with self.models.side_by_side(piece, {stop.name: stop.tail}) as pair:
                blocks.append(draw.block(_runs(pair, stop), number))
        trim()
        _, change = self._fit(stop, blocks)
        return _report(stop, draw.layer, blocks, change)

    def _advanced(self, pair: Pair, stop: Stop) -> Met:
        self.tick(stop.name)
        met = pair.advance()
        if met is None or met.small.layer != stop.name:
            raise unlike()
        return met

    def _draw(self, stop: Stop) -> Draw:
        layer = self.models.small.get_submodule(stop.name)
        assert isinstance(layer, Layer)
        columns = columns_of(layer)
        wanted = max(self.settings.rows, _ROWS_PER_COLUMN * columns)
        most = _MOST_BYTES // (4 * (columns * groups_of(layer) + 2 * len(layer.weight)))
        share = min(1.0, min(wanted, most) / max(1, self.images * stop.rows))
        return Draw(layer, self.kept.get(stop.name), share, self.settings.seed)

    def _fit(self, stop: Stop, blocks: Sequence[Block]) -> tuple[Place, Change]:
        """Fit a layer and change it and its norm."""
        layer = self.models.small.get_submodule(stop.name)
        norm = self.models.small.get_submodule(stop.tail.norm) if stop.tail.norm else None
        assert isinstance(layer, Layer)
        constant = norm is not None or layer.bias is not None
        scale = torch.ones(len(layer.weight)) if norm is None else scale_of(norm)
        place = Place(scale.double(), stop.tail.bounds, constant)
        try:
            change = fitted(blocks, place, self.settings.strength, self.settings.sweeps)
        except NotFiniteError as error:
            raise NotFiniteError(f"{stop.name}: {error.message}", error.hint) from error
        if change.ridge:
            _write(layer, norm, change)
        return place, change


def _runs(pair: Pair, stop: Stop) -> Iterator[Met]:
    """Yield every run of a layer; each is read before the pass goes on and may change it in place."""
    while (met := pair.advance()) is not None:
        yield met
        if stop.runs == 1:
            return


@torch.no_grad()
def _write(layer: Layer, norm: nn.Module | None, change: Change) -> None:
    """Add a change to a layer's weights; its constant to the bias, or to what the norm subtracts."""
    layer.weight += _delta(layer, change).to(layer.weight.dtype)
    if layer.bias is not None:
        layer.bias += change.shift.to(layer.bias.dtype)
    elif norm is not None:
        mean = norm.running_mean
        assert isinstance(mean, Tensor)
        mean -= change.shift.to(mean.dtype)


def _delta(layer: Layer, change: Change) -> Tensor:
    """Return the change of the weights in their own shape."""
    return change.delta.transpose(1, 2).reshape(layer.weight.shape)


@torch.no_grad()
def _correct(layer: Layer, met: Met, place: Place, change: Change) -> None:
    """Let a paused pass go on with what the changed layer makes."""
    call = met.small
    made = change_of(layer, call.inputs, _delta(layer, change), change.shift)
    call.output += made * along_channels(layer, place.scale, made)


def _report(stop: Stop, layer: Layer, blocks: Sequence[Block], change: Change) -> LayerRepair:
    return LayerRepair(
        layer=stop.name,
        before=change.before**0.5,
        after=change.after**0.5,
        rows=sum(block.x.shape[1] for block in blocks),
        columns=columns_of(layer),
        ridge=change.ridge,
    )
