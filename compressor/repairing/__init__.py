"""Repair in closed form: least squares against what the dense model computes, without labels or gradients.

For each layer, in the order in which they run,

    W' = argmin |f(Z) - f(W' X')|^2 + ridge |W' - W|^2

with X' what the network repaired so far feeds the layer, Z what the dense one makes of its own inputs there,
at the outputs that are kept, and f the ReLU behind it (He et al., Channel pruning for accelerating very deep
neural networks, 2017, section 3, and Zhang et al., 2016, asymmetric reconstruction, are the ancestors). What
a layer is fitted to is the value after its norm, and after a shortcut is added: the last layer of a block
also makes up for what the shortcut lacks.
"""

import copy
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from torch import nn

from compressor.artifact import Artifact
from compressor.artifact.repaired import LayerRepair, RepairReport
from compressor.base.errors import UsageError
from compressor.base.pace import Pace, Say, unheard
from compressor.repairing.norms import estimate_norms
from compressor.repairing.pairs import Models
from compressor.repairing.settings import RepairSettings
from compressor.repairing.targets import outputs_of, plan_between
from compressor.repairing.walk import Stop, Walk
from compressor.repairing.watching import Call, Layer, Tail
from compressor.tasks.task import Batch, Data

__all__ = ["LayerRepair", "RepairReport", "RepairSettings", "repair"]

_PIECE = 64
_PIECES = 10
_FRONTIER = 4  # values that a waiting pair holds, in units of the largest that a layer reads or makes


def repair(
    dense: Artifact,
    small: Artifact,
    batches: Iterable[Batch],
    *,
    settings: RepairSettings | None = None,
    data: str = "",
    say: Say = unheard,
) -> Artifact:
    """Return the pruned model with weights that compute what the dense one does, as far as they can.

    Args:
        dense: what was pruned; left as it is.
        small: what was made of it; left as it is.
        batches: of the task; nothing is read of them but images, and no more than the settings say.
        settings: how; the usual ones by default.
        data: name of the data set, for the papers.
        say: called with a line for people, every ten seconds.

    Raises:
        UsageError: there are no images, or ``small`` was not made of ``dense``.
        NotFiniteError: a layer computes NaN or infinity on the images.
        CompressError: the two do not run alike.
    """
    settings = settings or RepairSettings()
    plan = plan_between(dense, small)
    seen = _first(batches, small.task.data, settings.images)
    made = copy.deepcopy(small)
    models = Models(dense.view, made.view, small.task.scoring.run)
    with models.watched():
        images = sum(small.task.data.size(batch) for batch in seen)
        one = small.task.data.pieces(seen[0], small.task.data.size(seen[0]))[0]
        calls = models.learn(one)
        stops, left = _stops(calls, made.view)
        pieces = _pieces(models, seen, small.task.data, len(calls))
        kept = outputs_of(plan, dense.view)
        walk = Walk(models, pieces, images, kept, settings, _Ticker(say, len(stops)))
        layers = walk.repaired(stops)
    if settings.norms == "estimated":
        estimate_norms(made.view, pieces, small.task.scoring.run)
    report = RepairReport(images=images, norms=settings.norms, layers=tuple(layers), left=left)
    return made.repaired(made.module, report, data)


class _Ticker:
    """Says every ten seconds where the repair is."""

    def __init__(self, say: Say, layers: int) -> None:
        self._say, self._pace, self._layers = say, Pace(), layers
        self._met: list[str] = []

    def __call__(self, layer: str) -> None:
        if layer not in self._met:
            self._met.append(layer)
        if self._pace.due():
            self._say(f"repairing layer {len(self._met)} of {self._layers}: {layer}")


def _first(batches: Iterable[Batch], data: Data, images: int) -> list[Batch]:
    """Return the first images, in batches.

    Raises:
        UsageError: there are none.
    """
    found, missing = [], images
    for batch in batches:
        size = data.size(batch)
        if size > missing:
            equal = math.gcd(size, missing)
            found += data.pieces(batch, size // equal)[: missing // equal]
            break
        if size:
            found.append(batch)
            missing -= size
        if not missing:
            break
    if not found:
        raise UsageError("repair saw no images", "give a data set with training images: --data.")
    return found


def _pieces(models: Models, batches: Sequence[Batch], data: Data, runs: int) -> list[Batch]:
    """Cut batches so that every part is one pass, and that there are some to hold out."""
    images = sum(data.size(batch) for batch in batches)
    most = max(1, min(_PIECE, images // _PIECES))
    largest = max(batches, key=data.size)
    if data.size(largest) > 1:
        two = data.pieces(largest, -(-data.size(largest) // 2))[0]
        if len(models.learn(two)) > runs:
            most = 1  # the model goes through a batch image by image
    return [part for batch in batches for part in data.pieces(batch, -(-data.size(batch) // most))]


def _paused(calls: Sequence[Call]) -> list[int]:
    """Return about how many bytes a waiting pair of passes over one image holds, at each run or later."""
    sizes = [_FRONTIER * max(call.inputs.nbytes, call.output.nbytes) for call in calls]
    return list(accumulate(reversed(sizes), max))[::-1]


def _stops(calls: Sequence[Call], small: nn.Module) -> tuple[list[Stop], tuple[str, ...]]:
    """Return the layers to be repaired in order, and the others with a reason each."""
    runs = Counter(call.layer for call in calls)
    stops: dict[str, Stop] = {}
    for call, paused in zip(calls, _paused(calls), strict=True):
        tails = {other.tail for other in calls if other.layer == call.layer}
        rows = sum(other.rows for other in calls if other.layer == call.layer)
        tail = call.tail if len(tails) == 1 else Tail()
        stops.setdefault(call.layer, Stop(call.layer, tail, runs[call.layer], rows, paused))
    computed = [name for name in stops if "weight" not in small.get_submodule(name)._parameters]
    left = [f"{name}: its weight is computed from others" for name in computed]
    return [stop for stop in stops.values() if stop.name not in computed], (*left, *_others(small, stops))


def _others(small: nn.Module, met: dict[str, Stop]) -> Iterator[str]:
    for name, module in small.named_modules():
        if isinstance(module, Layer) and name not in met:
            yield f"{name}: it did not run as a module"
        elif isinstance(module, nn.modules.conv._ConvNd) and not isinstance(module, Layer):
            yield f"{name}: a {type(module).__name__} is not fitted"
