"""What each operation does to channel ids: one small function per operation, found by name.

A rule is registered under the operator's name without its overload (``aten.convolution``) and serves the
in-place form too. Operators that PyTorch itself tags as pointwise share one rule. Nothing else is assumed:
an operator that meets channels and has no rule stops the trace. Other packages add rules through the entry
point group ``compress.operation_rule``.
"""

from collections.abc import Callable

import torch

from compressor.base.registry import Registry
from compressor.channels.call import Call
from compressor.channels.tracer import Tracer

Rule = Callable[[Tracer, Call], None]


class _Rules:
    """The registered rules, and the one for everything that PyTorch tags as pointwise."""

    def __init__(self) -> None:
        self.registry: Registry[Rule] = Registry("operation rule", __name__)

    def find(self, call: Call) -> Rule | None:
        """Return the rule for an operation, or None."""
        for name in (call.name, call.name.removesuffix("_")):
            if name in self.registry:
                return self.registry.get(name)
        return self.registry.get("pointwise") if _is_pointwise(call) else None


def _is_pointwise(call: Call) -> bool:
    """Say whether PyTorch tags the operator, or for an in-place form its plain form, as pointwise.

    Which in-place forms carry the tag differs between releases.
    """
    namespace, _, name = call.name.partition(".")
    plain = getattr(getattr(torch.ops, namespace), name.removesuffix("_"), None)
    overloads = [getattr(plain, o) for o in plain.overloads()] if plain is not None else []
    return any(torch.Tag.pointwise in func.tags for func in (call.func, *overloads))


RULES = _Rules()


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Register one function as the rule of several operations."""

    def add(function: Rule) -> Rule:
        for name in names:
            RULES.registry.register(name)(function)
        return function

    return add
