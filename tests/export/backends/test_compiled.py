"""torch.compile as a backend; what every backend must do is tested in test_backends.py."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from compressor.base.errors import BackendMissingError, CompressError, UsageError
from compressor.zoo.inputs import InputSpec
from export.backends import BACKENDS, SessionOptions
from export.backends.compiled import Compiled, CompiledBackend, _with_own_cache
from export.backends.pytorch import TorchSession

ROW = InputSpec(shapes=((4,),))


class Branching(nn.Module):
    """Takes a branch that depends on values: PyTorch runs it, a whole graph cannot have it."""

    def forward(self, x: Tensor) -> Tensor:
        return x + 1 if x.sum() > 0 else x - 1


class Plus(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.number = nn.Parameter(torch.full((width,), float(width)))

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :1] + self.number


def test_a_missing_compiler_is_an_error_with_advice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    backend = BACKENDS.get("torch-compile")
    assert "no C++ compiler no-such-compiler; install it" in str(backend.missing("cpu"))
    with pytest.raises(BackendMissingError, match="no-such-compiler") as caught:
        backend.open(tmp_path, SessionOptions())
    assert caught.value.exit_code == 5


def test_missing_headers_of_python_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "sh")  # is on every path
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path))
    assert "Python.h; install" in str(BACKENDS.get("torch-compile").missing("cpu"))


def test_what_cannot_be_compiled_whole_does_not_run_uncompiled(tmp_path: Path) -> None:
    backend = CompiledBackend(load=lambda path, trust: (Branching(), ROW))
    if (reason := backend.missing("cpu")) is not None:
        pytest.skip(reason)
    with (
        pytest.raises(CompressError, match="cannot compile Branching") as caught,
        backend.open(tmp_path, SessionOptions()),
    ):
        pass
    assert not isinstance(caught.value, UsageError)
    assert "--backend torch" in caught.value.hint


def test_a_compiler_that_fails_is_an_error() -> None:
    """Past our own check: what Inductor does with a compiler that does not work."""
    model = nn.Sequential(nn.Linear(4, 3), nn.GELU(), nn.Linear(3, 2))
    with (
        torch._inductor.config.patch({"cpp.cxx": (None, "no-such-compiler"), "force_disable_caches": True}),
        pytest.raises(CompressError, match="cannot compile Sequential"),
    ):
        TorchSession(Compiled(model), ROW, SessionOptions()).__enter__()


def test_models_of_one_class_do_not_use_up_each_others_variants() -> None:
    """PyTorch gives up on a code object after a number of variants, here fewer than there are models."""
    with torch._dynamo.config.patch(recompile_limit=2), torch.inference_mode():
        for width in range(1, 6):
            run = torch.compile(_with_own_cache(Plus(width)), fullgraph=True, backend="eager")
            assert run(torch.ones(1, 4)).tolist() == [[1.0 + width] * width]
