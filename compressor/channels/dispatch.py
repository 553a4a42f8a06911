"""Seeing what a model does while it runs: its operations below autograd, and which modules run them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode

from compressor.channels.call import Call


class Calls(TorchDispatchMode):
    """Tells of every operation after it ran.

    Args:
        told: called with each; what it raises ends the run.
    """

    def __init__(self, told: Callable[[Call], None]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._told = told

    def __torch_dispatch__(
        self, func: Any, types: object, args: tuple[object, ...] = (), kwargs: dict[str, object] | None = None
    ) -> object:
        """Run the operation, and tell of it."""
        out = func(*args, **(kwargs or {}))
        self._told(Call(func, args, kwargs or {}, out))
        return out


@contextmanager
def modules_told(
    entering: Callable[[nn.Module, Any], None], leaving: Callable[[nn.Module, Any, Any], Tensor | None]
) -> Iterator[None]:
    """Tell of every module that begins to run or ends, of whatever model, until the block ends.

    A tensor that ``leaving`` returns takes the place of the module's output.
    """
    before = register_module_forward_pre_hook(entering)
    after = register_module_forward_hook(leaving)  # type: ignore[arg-type]
    try:
        yield
    finally:
        before.remove()
        after.remove()
