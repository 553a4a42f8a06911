"""Ways to spread a cut over a network; each is asked for a level, and levels are searched for one latency."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
from torch import nn

from bench.layers.price import Latency
from bench.studies.common.torch_pruning import pruned_by_torch_pruning
from compressor.artifact import Artifact
from compressor.base.errors import UsageError
from compressor.channels import ChannelGraph
from compressor.channels.cost import kept_units
from compressor.channels.graph import module_of
from compressor.methods import prune
from compressor.methods.ranked import Ranked
from compressor.rates import Budget, PruneRequest
from compressor.rates.request import Scope

_STEPS: Final = 10
_LEAST: Final = 0.05
_THEIR_MULTIPLE: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What is cut, and what it costs.

    Attributes:
        dense: the network before the cut.
        graph: its trace.
        price: its latency by a table.
        methods: criteria by name, their rankings made; with what widths change in the outputs on images.
    """

    dense: Artifact
    graph: ChannelGraph
    price: Latency
    methods: Mapping[str, Ranked]

    def units(self, module: nn.Module) -> np.ndarray:
        """Return the units that a smaller network keeps of each group, (groups,), read from its weights."""
        before, after = self.dense.module.state_dict(), module.state_dict()
        kept = kept_units(self.graph)
        for index in self.graph.free:
            producer = f"{module_of(self.graph.groups[index].producers[0])}.weight"
            kept[index] = round(kept[index] * len(after[producer]) / len(before[producer]))
        return kept

    def predicted(self, module: nn.Module) -> float:
        """Return the share of the dense latency that a smaller network takes by the table."""
        return self.price.share(self.graph, self.units(module))


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A network at a latency.

    Attributes:
        level: that the way was asked for.
        module: the network.
        predicted: share of the dense latency by the table.
        artifact: the same with its papers; None where another tool made it.
    """

    level: float
    module: nn.Module
    predicted: float
    artifact: Artifact | None = None


Way = Callable[[Ground, float], Artifact | nn.Module]
"""Makes a network; a level in (0, 1] is the more, the larger the network."""


def found(ground: Ground, way: Way, share: float) -> Found:
    """Return the network of a way whose predicted share of the dense latency is nearest to ``share``."""
    low, high = _LEAST, 1.0
    tried: list[Found] = []
    for _ in range(_STEPS):
        level = (low + high) / 2
        try:
            tried.append(at(ground, way, level))
        except UsageError:  # not even the least widths are so few
            low = level
            continue
        if tried[-1].predicted > share:
            high = level
        else:
            low = level
    return min(tried, key=lambda one: abs(one.predicted - share))


def at(ground: Ground, way: Way, level: float) -> Found:
    """Return the network of a way at a level."""
    made = way(ground, level)
    artifact = made if isinstance(made, Artifact) else None
    module = made.module if isinstance(made, Artifact) else made
    return Found(level=level, module=module, predicted=ground.predicted(module), artifact=artifact)


def _cut(unit: str, scope: Scope, method: str, ground: Ground, level: float) -> Artifact:
    request = PruneRequest(
        target=Budget(unit, fraction=level), scope=scope, round_to=ground.price.table.where.block,
        measured=ground.price if unit == "latency" else None,
    )  # fmt: skip
    return prune(ground.dense, request, ground.methods[method], words="a study")


def _theirs(everywhere: bool, ground: Ground, level: float) -> nn.Module:
    """Return what Torch-Pruning leaves: the same criterion, and the outputs of blocks as they are.

    It takes the padded shortcuts of these networks for additions of equal widths and breaks them, so a user
    has to keep the outputs of all blocks.
    """
    ends = tuple(name for name, _ in ground.dense.module.named_modules() if _ends_block(name))
    return pruned_by_torch_pruning(
        ground.dense, 1 - level, everywhere=everywhere, multiple=_THEIR_MULTIPLE, names=ends
    )


def _ends_block(name: str) -> bool:
    return name == "conv1" or name.endswith(".conv2")


WAYS: Final[dict[str, Way]] = {
    "--latency --data": partial(_cut, "latency", "worth", "l1 on images"),
    "--latency": partial(_cut, "latency", "worth", "l1"),
    "--macs, uniform": partial(_cut, "macs", "uniform", "l1"),
    "--macs, global": partial(_cut, "macs", "global", "l1"),
    "Torch-Pruning, uniform": partial(_theirs, False),
    "Torch-Pruning, global": partial(_theirs, True),
    "--latency --data --method surgeon": partial(_cut, "latency", "worth", "surgeon on images"),
}
"""All by the L1 norm of filters but the last."""
