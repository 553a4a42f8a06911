"""What a model costs: parameters and multiply-adds.

Two ways, which must agree. :class:`CostModel` computes both from the channel graph for any widths, in
microseconds, so that allocation can search. :func:`measure` counts on a real model, with PyTorch's
FlopCounterMode and with thop, module by module. One MAC is one fused multiply-add.
"""

import copy
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.utils.flop_counter import FlopCounterMode

from compressor.base.modes import evaluation, unfused_attention
from compressor.channels.components import Ids
from compressor.channels.graph import AxisMap, ChannelGraph

AGREEMENT = 0.02
"""Largest relative difference between thop and FlopCounterMode on the layers that both count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Size and work of a model for one image.

    Attributes:
        params: number of parameter elements (buffers are not parameters).
        macs: multiply-adds of convolutions and linear layers, batch of one.
        thop_macs: thop's figure, which also counts norms and pooling; None where it was not measured, or
            where thop does not count all layers.
    """

    params: int
    macs: int
    thop_macs: int | None = None


@dataclass(frozen=True, slots=True)
class CostModel:
    """Parameters and MACs as a function of the number of units kept in each group.

    Every parameter's size is a product of axis widths, every width is a sum of kept units, and a layer's
    MACs are its weight's size times the number of positions at which it is applied. A self-tracing module
    says the same of the weights that it hides. Weights with the same axes are one term of both sums.

    Attributes:
        part_group: groups that carry positions of some kind of axis, kind by kind; (parts,).
        part_width: positions per unit of that group; (parts,).
        part_start: where the parts of each kind begin; (kinds,).
        axes_of: kinds of axis of each term, padded with one more kind, which is always 1; (terms, most axes).
        params_of: parameters per product of widths; (terms,).
        macs_of: multiply-adds per product of widths, for one image; (terms,).
        fixed_params: elements of parameters outside the trace.
    """

    part_group: Ids
    part_width: Ids
    part_start: Ids
    axes_of: Ids
    params_of: Ids
    macs_of: Ids
    fixed_params: int

    def __call__(self, kept: Ids) -> Cost:
        """Return the cost when group g keeps ``kept[g]`` units."""
        return Cost(params=int(self.params(kept[None])[0]), macs=int(self.macs(kept[None])[0]))

    def params(self, kept: Ids) -> Ids:
        """Return the parameters of each network, (networks, groups) -> (networks,)."""
        return _weighted(self.params_of, self._products(kept)) + self.fixed_params

    def macs(self, kept: Ids) -> Ids:
        """Return the MACs of each network, (networks, groups) -> (networks,)."""
        return _weighted(self.macs_of, self._products(kept))

    def _products(self, kept: Ids) -> Ids:
        """Return the product of widths of each term, (terms, networks)."""
        width = np.ones((len(self.part_start) + 1, len(kept)), dtype=np.int64)
        parts = kept.T[self.part_group] * self.part_width[:, None]
        width[:-1] = np.add.reduceat(parts, self.part_start) if len(parts) else 0
        first, *others = self.axes_of.T
        product: Ids = width[first]
        for kinds in others:
            changing = np.flatnonzero(kinds < len(self.part_start))
            product[changing] *= width[kinds[changing]]
        return product


def _weighted(weights: Ids, products: Ids) -> Ids:
    # no matrix product: of so few numbers, starting the threads of one costs more than it saves
    total: Ids = (weights[:, None] * products).sum(axis=0)
    return total


def cost_model(graph: ChannelGraph) -> CostModel:
    """Return the cost model of a traced network."""
    entries, weights = _weights(graph)
    sizes = kept_units(graph)
    widths = np.zeros((len(entries), len(graph.groups)), dtype=np.int64)
    for row, entry in enumerate(entries):
        widths[row] = np.bincount(entry.group, minlength=len(graph.groups)) // sizes
    kinds, kind_of = np.unique(widths, axis=0, return_inverse=True)
    one = len(kinds)
    most = max((len(weight.rows) for weight in weights), default=0) or 1
    padded = [
        [*kind_of.reshape(-1)[weight.rows].tolist(), *[one] * (most - len(weight.rows))] for weight in weights
    ]
    rows = np.array(padded, dtype=np.int64).reshape(len(weights), most)
    terms, term_of = np.unique(rows, axis=0, return_inverse=True)
    kind, group = np.nonzero(kinds)
    return CostModel(
        part_group=group,
        part_width=kinds[kind, group],
        part_start=np.searchsorted(kind, np.arange(one)),
        axes_of=terms,
        params_of=_summed([weight.params for weight in weights], term_of, len(terms)),
        macs_of=_summed([weight.macs for weight in weights], term_of, len(terms)),
        fixed_params=graph.fixed_params,
    )


def _summed(values: Sequence[int], term_of: Ids, terms: int) -> Ids:
    total: Ids = np.zeros(terms, dtype=np.int64)
    np.add.at(total, term_of.reshape(-1), np.array(values, dtype=np.int64))
    return total


@dataclass(frozen=True, slots=True)
class _Weight:
    """Rows of the axes of a weight, and what each combination of positions on them costs."""

    rows: list[int]
    params: int
    macs: int


def _weights(graph: ChannelGraph) -> tuple[list[AxisMap], list[_Weight]]:
    """Return the axes that decide costs, in rows, and all weights: those that were met, then hidden ones."""
    sides = {side for cost in graph.hidden for side in cost.sides}
    entries = [e for e in graph.axes if e.tensor in graph.shapes or e.tensor in sides]
    rows: dict[str, list[int]] = {name: [] for name in graph.shapes}
    for row, entry in enumerate(entries):
        rows.setdefault(entry.tensor, []).append(row)
    met = []
    for name, shape in graph.shapes.items():
        elements = math.prod(shape) // math.prod(entries[row].size for row in rows[name])
        met.append(_Weight(rows[name], elements, elements * graph.positions.get(name, 0)))
    hidden = [_Weight([r for s in c.sides for r in rows[s]], c.params, c.macs) for c in graph.hidden]
    return entries, [*met, *hidden]


def measure(model: nn.Module, inputs: Sequence[Tensor]) -> Cost:
    """Count a real model, batch of one, with two independent counters.

    ``macs`` is FlopCounterMode's figure over convolutions and matrix products that belong to layers;
    ``thop_macs`` is thop's total, which adds norms, pooling and activations and misses functional calls. Thop
    knows layers by their exact types: where it counts those of a model otherwise by more than 2 %, or fails,
    it has no figure.
    """
    layers = _flops_by_layer(model, inputs)
    params = sum(p.numel() for p in model.parameters())
    return Cost(params=params, macs=sum(layers.values()), thop_macs=_thop_total(model, inputs, layers))


def macs_of(model: nn.Module, inputs: Sequence[Tensor]) -> int:
    """Return the MACs of convolutions and linear layers by PyTorch's counter alone."""
    return sum(_flops_by_layer(model, inputs).values())


def _thop_total(model: nn.Module, inputs: Sequence[Tensor], layers: Mapping[str, int]) -> int | None:
    try:
        total, theirs = _thop(model, inputs)
    except Exception:  # other packages have that name too, and thop's hooks fail in ways of their own
        return None
    shared = [name for name in theirs if name in layers]
    ours, found = sum(layers[name] for name in shared), sum(theirs[name] for name in shared)
    return round(total) if abs(ours - found) <= AGREEMENT * max(ours, 1) else None


_COUNTED = ("convolution", "_convolution", "mm", "addmm", "linear")


def _flops_by_layer(model: nn.Module, inputs: Sequence[Tensor]) -> dict[str, int]:
    """Return MACs of each module's own convolutions and linear products (not attention)."""
    counter = FlopCounterMode(display=False)
    with evaluation(model), unfused_attention(), torch.no_grad(), counter:
        model(*inputs)
    root = type(model).__name__
    totals = {
        name.removeprefix(f"{root}."): sum(n // 2 for op, n in ops.items() if _is_counted(op))
        for name, ops in counter.get_flop_counts().items()
        if name not in ("Global", root)
    }
    grand = sum(n // 2 for op, n in counter.get_flop_counts()["Global"].items() if _is_counted(op))
    return _own(totals, grand)


def _is_counted(op: object) -> bool:
    return str(op).rsplit(".", maxsplit=1)[-1] in _COUNTED


def _own(totals: dict[str, int], grand: int) -> dict[str, int]:
    """Turn sums over subtrees into each module's own share; ``""`` is the root's."""
    own = {**totals, "": grand}
    for name, total in totals.items():
        parent = name.rpartition(".")[0]
        while parent and parent not in totals:
            parent = parent.rpartition(".")[0]
        own[parent] -= total
    return own


def _thop(model: nn.Module, inputs: Sequence[Tensor]) -> tuple[float, dict[str, float]]:
    """Return thop's total and its figure for each convolution and linear layer.

    thop leaves keys in the state dict of whatever it profiles, so that it gets a copy. Its own count of a
    transposed convolution takes the output's positions for the input's, stride squared times too many.
    """
    import thop

    probe = copy.deepcopy(model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        total, _, tree = thop.profile(
            probe,
            inputs=tuple(inputs),
            custom_ops=dict.fromkeys(_TRANSPOSED, _count_transposed),
            verbose=False,
            ret_layer_info=True,
        )
    flat: dict[str, float] = {}
    _flatten(tree, "", flat)
    kinds = dict(model.named_modules())
    return total, {n: v for n, v in flat.items() if isinstance(kinds.get(n), _ConvNd | nn.Linear)}


_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def _count_transposed(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    total = module.total_ops
    assert isinstance(module, _ConvNd)
    assert isinstance(total, Tensor)
    total += inputs[0].numel() // module.in_channels * module.weight.numel()


def _flatten(tree: dict[str, tuple[float, float, dict]], prefix: str, into: dict[str, float]) -> None:  # type: ignore[type-arg]
    for name, (ops, _, children) in tree.items():
        into[prefix + name] = ops
        _flatten(children, f"{prefix}{name}.", into)


def kept_units(graph: ChannelGraph) -> NDArray[np.int64]:
    """Return the size of every group: what a dense model keeps."""
    return np.array([g.size for g in graph.groups], dtype=np.int64)
