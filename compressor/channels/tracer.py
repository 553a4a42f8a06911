"""The state of one trace: which tensors carry which channels, and what rules and modules may say of them."""

from collections.abc import Sequence
from typing import Protocol, cast

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakIdKeyDictionary

from compressor.channels.ledger import NONE, Axis, HiddenCost, Ledger, Role
from compressor.channels.shadow import PLAIN, Shadow, align, on_axis


class SelfTracing(Protocol):
    """A module that describes its own effect on channels; operations inside it are not followed."""

    def trace_channels(self, tracer: "Tracer", x: Tensor, out: Tensor) -> None:
        """Call ``tracer.consume`` and ``tracer.produce`` for the sides that channels enter and leave."""

    def change_channels(self, side: str, take: Sequence[int], into: Sequence[int]) -> None:
        """Make a side of the old channels in ``take``; who read channel c reads ``into[c]``, or zero.

        Both are as in `compressor.steps.channels`: -1 in ``into`` stands for zero.
        """

    def mask_channels(self, side: str, take: Sequence[int], into: Sequence[int]) -> None:
        """Compute the same with the old widths: who read channel c reads ``take[into[c]]``, or zero."""

    def hidden_costs(self, x: Tensor, out: Tensor) -> Sequence[HiddenCost]:
        """Say what the module's own weights cost in a run from ``x`` to ``out``, (1, ...) each.

        Nobody else can: the operations inside are not followed. A module without this method, or one that
        says nothing, is counted with the parameters that it has and no MACs, whatever its widths.
        """
        return ()


class Tracer:
    """The state of one trace, and what rules may do to it."""

    def __init__(self, model: nn.Module) -> None:
        self.ledger = Ledger()
        self._names: dict[int, str] = {}
        self._paths = {id(module): path for path, module in model.named_modules()}
        self._axes: dict[tuple[str, int], Axis] = {}
        self._owner: dict[int, Axis] = {}
        self._shadows: WeakIdKeyDictionary = WeakIdKeyDictionary()
        self.stack: list[str] = []
        self.opaque = 0
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            self._names.setdefault(id(tensor), name)

    @property
    def where(self) -> str:
        """Path of the module that is running."""
        return self.stack[-1] or "the model itself" if self.stack else "the model itself"

    def introduce(self, number: int, value: Tensor) -> None:
        """Let an input of the model carry channels, which must stay."""
        if value.ndim < 2 or value.shape[1] < 2 or not value.is_floating_point():
            return
        entry = self.ledger.issue(f"input {number}:channels", 0, value.shape[1])
        ids = on_axis(_ids(entry), 1, value.ndim)
        self.ledger.freeze(ids, "input of the model")
        self.put(value, [ids])

    def tracked(self, value: object) -> bool:
        """Say whether a value is a tensor that carries channels."""
        return isinstance(value, Tensor) and (value in self._shadows or id(value) in self._names)

    def shadow(self, tensor: Tensor) -> Shadow:
        """Return a tensor's shadow, `PLAIN` where it carries no channels.

        Parameters and buffers get their ids on first use.
        """
        known = self._shadows.get(tensor)
        if known is not None:
            return cast("Shadow", known)
        if id(tensor) not in self._names:
            return PLAIN
        axes = [i for i, n in enumerate(tensor.shape) if n > 1]
        shadow = Shadow(tuple(self.leaf(tensor, i) for i in axes), from_weights=True)
        self._shadows[tensor] = shadow
        return shadow

    def leaf(self, tensor: Tensor, axis: int, role: Role = "other") -> Tensor:
        """Return the ids of one axis of a parameter or buffer, as a factor, and note its role."""
        entry = self._issue(self._names[id(tensor)], axis, tensor.shape[axis])
        if role != "other":
            entry.role = role
        return on_axis(_ids(entry), axis, tensor.ndim)

    def follow(self, tensor: Tensor, axis: int, channels: Tensor, role: Role = "other") -> None:
        """Let an axis of a parameter or buffer carry channels that exist: ``channels``, (size,)."""
        key, ids = (self._names[id(tensor)], axis), channels.numpy()
        if key in self._axes or ids.min() == NONE:
            self.unite(self.leaf(tensor, axis, role).reshape(-1), channels)
            return
        entry = self._axes[key] = self.ledger.bind(*key, ids)
        entry.role = role

    def is_leaf(self, tensor: Tensor) -> bool:
        """Say whether a tensor is a parameter or buffer itself, not computed from one."""
        return id(tensor) in self._names

    def put(self, tensor: Tensor, factors: Sequence[Tensor], *, from_weights: bool = False) -> None:
        """Give a result its shadow; without factors it becomes untracked."""
        carried = tuple(f for f in factors if f.numel() > 1)
        if carried:
            self._shadows[tensor] = Shadow(carried, from_weights)
        else:
            self._shadows.pop(tensor, None)

    def unite(self, left: Tensor, right: Tensor) -> None:
        """Record that ids live or die together, position by position."""
        ndim = max(left.ndim, right.ndim)
        self.ledger.unite(align(left, ndim), align(right, ndim), self.where)

    def freeze(self, ids: Tensor, reason: str) -> None:
        """Record that these ids must stay; the running module is added to the reason."""
        self.ledger.freeze(ids, f"{reason} in {self.where}")

    def mark_inexact(self, ids: Tensor, reason: str) -> None:
        """Record that removing these ids changes what the remaining channels compute."""
        self.ledger.mark_inexact(ids, f"{reason} in {self.where}")

    def set_role(self, ids: Tensor, role: Role) -> None:
        """Note the role of the parameter axis that issued these ids."""
        first = int(ids.reshape(-1)[0])
        if first in self._owner:
            self._owner[first].role = role

    def count_positions(self, weight: Tensor, ids: Tensor, count: int) -> None:
        """Add to the number of times each element of a weight is multiplied, for one image."""
        name = self._names.get(id(weight))
        if name is None:
            owner = self._owner.get(int(ids.reshape(-1)[0]))
            name = owner.tensor if owner else ""
        if name:
            self.ledger.positions[name] = self.ledger.positions.get(name, 0) + count

    def consume(self, module: nn.Module, side: str, x: Tensor, axis: int) -> None:
        """Let the channels that arrive along ``axis`` end in a self-tracing module."""
        entry = self._issue(self._side(module, side), 0, x.shape[axis], "consumer")
        arriving = self.shadow(x).along(axis)
        ids = on_axis(_ids(entry), axis, x.ndim)
        for factor in arriving:
            self.unite(factor, ids)
        if not arriving:
            self.freeze(ids, "reads values that are not channels")

    def produce(self, module: nn.Module, side: str, out: Tensor, axis: int) -> None:
        """Let fresh channels begin along ``axis`` of a self-tracing module's output."""
        entry = self._issue(self._side(module, side), 0, out.shape[axis], "producer")
        self.put(out, [on_axis(_ids(entry), axis, out.ndim)])

    def entering(self, module: nn.Module, args: tuple[object, ...]) -> None:
        """Note that a module begins to run."""
        self.stack.append(self._paths.get(id(module), type(module).__name__))
        self.opaque += hasattr(module, "trace_channels")

    def leaving(self, module: nn.Module, args: tuple[Tensor, ...], out: Tensor) -> Tensor:
        """Note that a module ends; one that describes itself now says what it did."""
        if hasattr(module, "trace_channels"):
            self.opaque -= 1
            out = out.view_as(out) if out is args[0] else out
            cast("SelfTracing", module).trace_channels(self, args[0], out)
            if hasattr(module, "hidden_costs"):
                costs = cast("SelfTracing", module).hidden_costs(args[0], out)
                self.ledger.weigh(self._paths[id(module)], costs)
        self.stack.pop()
        return out

    def _side(self, module: nn.Module, side: str) -> str:
        return f"{self._paths[id(module)]}:{side}"

    def _issue(self, tensor: str, axis: int, size: int, role: Role = "other") -> Axis:
        key = (tensor, axis)
        if key not in self._axes:
            entry = self.ledger.issue(tensor, axis, size)
            entry.role = role
            self._axes[key] = self._owner[int(entry.ids[0])] = entry
        return self._axes[key]


def _ids(entry: Axis) -> Tensor:
    return torch.from_numpy(entry.ids)
