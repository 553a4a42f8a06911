"""PyTorch compiled: the artifacts of the ``torch`` backend through ``torch.compile`` and its Inductor.

The first call of a batch size compiles, which takes from seconds to minutes; the later ones are what counts.
Only whole graphs are accepted: what cannot be compiled is an error, and never runs uncompiled in silence.
"""

import os
import shutil
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import FunctionType, MappingProxyType
from typing import Final

import torch
from torch import Tensor, nn

from compressor.base.errors import CompressError
from compressor.zoo import Trust
from compressor.zoo.inputs import InputSpec
from export.backends import BACKENDS, SessionOptions
from export.backends.pytorch import TorchBackend, TorchSession

_COMPILERS: Final = MappingProxyType({"darwin": "clang++", "win32": "cl"})
"""What Inductor calls where CXX does not say; g++ elsewhere."""


class Compiled(nn.Module):
    """A module whose forward pass runs compiled.

    Raises:
        CompressError: at the first call, where the module cannot be compiled.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self._compiled = torch.compile(_with_own_cache(model), fullgraph=True)

    def forward(self, *inputs: Tensor) -> object:
        """Compute what the module computes."""
        try:
            return self._compiled(*inputs)
        except Exception as error:
            if not _is_of_the_compiler(error):
                raise
            raise CompressError(
                f"torch.compile cannot compile {type(self.model).__name__}: {str(error).strip()}",
                "check the C++ compiler with `compress doctor`, or use --backend torch",
            ) from error


@dataclass(frozen=True, slots=True)
class CompiledBackend(TorchBackend):
    """Opens artifact folders and compiles what is in them."""

    name: str = "torch-compile"
    usual: bool = False
    packages: tuple[str, ...] = ("torch", "triton")

    def missing(self, device: str) -> str | None:
        """Return why PyTorch cannot compile for ``device``, and what to install."""
        return TorchBackend.missing(self, device) or _toolchain_failure(device.partition(":")[0])

    def live(self, module: nn.Module, inputs: InputSpec, options: SessionOptions) -> TorchSession:
        """Open a model that is in memory already; it is compiled when it first runs."""
        return TorchBackend.live(self, Compiled(module), inputs, options)


def _artifact(path: Path, trust: Trust) -> tuple[nn.Module, InputSpec]:
    plain = BACKENDS.get("torch")
    assert isinstance(plain, TorchBackend)
    return plain.load(path, trust)


BACKENDS.register("torch-compile")(CompiledBackend(load=_artifact))


def _with_own_cache(model: nn.Module) -> Callable[..., object]:
    """Return the forward pass as a function with a code object of its own.

    PyTorch keeps what it compiled with the code object and allows each of them a handful of variants. Models
    of one class share their code, so after some of them the next would not be compiled any more.
    """

    def call(*inputs: Tensor) -> object:
        return model(*inputs)

    return FunctionType(call.__code__.replace(), call.__globals__, closure=call.__closure__)


def _is_of_the_compiler(error: Exception) -> bool:
    # Importing this takes seconds, and the compiler has done so already.
    from torch._dynamo.exc import FailOnRecompileLimitHit, TorchDynamoException, TorchRuntimeError

    if isinstance(error, TorchRuntimeError):  # the graph itself is wrong for these shapes
        return False
    return isinstance(error, TorchDynamoException | FailOnRecompileLimitHit)


def _toolchain_failure(kind: str) -> str | None:
    if kind == "cuda" and find_spec("triton") is None:
        return "torch.compile needs the triton package on GPUs; pip install triton"
    compiler = os.environ.get("CXX") or _COMPILERS.get(sys.platform, "g++")
    if shutil.which(compiler) is None:
        return f"there is no C++ compiler {compiler}; install it (apt install g++), or set CXX to another"
    if not Path(sysconfig.get_path("include"), "Python.h").is_file():
        return "there is no Python.h; install Python's headers (apt install python3-dev)"
    return None
