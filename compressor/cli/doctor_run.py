"""What ``compress doctor`` does: ask every backend, then make it compute something whose result is known."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper
from rich.console import Console
from torch import nn

from bench.environment import environment
from compressor.base.errors import CompressError
from compressor.base.files import scratch
from compressor.base.system import installed
from compressor.cli import output
from compressor.zoo import Trust
from compressor.zoo.inputs import InputSpec
from export.backends import BACKENDS, Backend, Session, SessionOptions
from export.backends.pytorch import TorchBackend
from export.quiet import captured_output
from export.tensorrt.device import installed_driver

DEVICES: Final = ("cpu", "cuda")
_CUDA_13_DRIVER: Final = 580
_CUDA_12_DRIVER: Final = 525
_WEIGHT: Final = 0.5
_SHAPE: Final = (3, 8, 8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One backend on one device.

    Attributes:
        backend: its name.
        device: ``cpu`` or ``cuda``.
        usable: nothing is known to be in its way.
        missing: why it is not usable, and how to get it.
        tried: one layer ran, rightly or wrongly; False where something is missing, and where the backend only
            opens files that have to be built first.
        versions: its installed distributions.
    """

    backend: str
    device: str
    usable: bool
    missing: str | None
    tried: bool
    versions: dict[str, str]

    def state(self) -> str:
        """Return the result in words."""
        if self.missing is not None:
            return self.missing
        return "works" if self.tried else "installed; not tried, as its files have to be built first"


def run(*, json: bool) -> None:
    """Check everything and print it."""
    with Console(stderr=True).status("running one layer on every backend"):
        checks = [check(BACKENDS.get(name), device) for name in BACKENDS for device in DEVICES]
    found = environment()
    hints = advice(installed_driver(), torch.version.cuda, usable=torch.cuda.is_available())
    if json:
        backends = [asdict(entry) for entry in checks]
        output.print_json({"environment": found, "backends": backends, "advice": hints})
        return
    rows = [(c.backend, c.device, _versions_text(c), c.state()) for c in checks]
    output.show(
        output.table(("", "value"), list(found.items())),
        output.table(("backend", "device", "installed", "state"), rows),
        *hints,
    )


def check(backend: Backend, device: str) -> Check:
    """Ask a backend, and run one layer on it unless it opens only files that have to be built first."""
    reason, tried = backend.missing(device), False
    if reason is None:
        reason, tried = _tried(backend, device)
    return Check(
        backend=backend.name,
        device=device,
        usable=reason is None,
        missing=reason,
        tried=tried,
        versions=installed(backend.packages),
    )


def advice(driver: str, torch_cuda: str | None, *, usable: bool) -> list[str]:
    """Return what to do about CUDA, nothing where all is well.

    CUDA 13 needs a driver from R580 and CUDA 12 one from R525 (NVIDIA, "CUDA Compatibility"). What pip
    installs by default is built for CUDA 13, which leaves many T4 servers without a GPU.

    Args:
        driver: version, or ``unknown``.
        torch_cuda: version of CUDA that torch was built with, None for a build without.
        usable: torch finds a GPU.
    """
    branch = int(driver.partition(".")[0]) if driver.partition(".")[0].isdigit() else None
    if branch is not None and branch < _CUDA_12_DRIVER:
        return [f"Driver {driver} is too old for CUDA 12: install R{_CUDA_12_DRIVER}, better R580, or newer."]
    if branch is not None and branch < _CUDA_13_DRIVER:
        return [
            f"Driver {driver} is older than R580, as on many T4 servers, and cannot run CUDA 13: install a"
            " newer driver, or CUDA 12 builds of torch (pytorch.org) and onnxruntime-gpu, and tensorrt-cu12."
        ]
    if usable:
        return []
    if branch is not None and torch_cuda is None:
        return [
            "There is an NVIDIA driver, but this torch was built without CUDA: install another (pytorch.org)."
        ]
    return [
        "CUDA is not usable here. The default wheels need an NVIDIA driver from R580; with an older one from"
        " R525 on, as on many T4 servers, install CUDA 12 builds of torch and onnxruntime-gpu, and"
        " tensorrt-cu12."
    ]


def _tried(backend: Backend, device: str) -> tuple[str | None, bool]:
    """Return why one layer does not run, and whether it could be tried at all."""
    options = SessionOptions(device=device)
    with scratch() as folder, captured_output():
        try:
            session = _session(backend, options, folder)
            return (None, False) if session is None else (_wrong(session), True)
        except CompressError as error:
            return str(error), True
        except (
            Exception
        ) as error:  # a broken runtime may raise anything, and the others are still to be asked
            return f"{type(error).__name__}: {error}; install it again", True


def _session(backend: Backend, options: SessionOptions, scratch: Path) -> Session | None:
    """Open one layer in the form that the backend opens; None if there is no such form."""
    if isinstance(backend, TorchBackend):
        return replace(backend, load=_module).open(scratch, options)
    if backend.suffix != ".onnx":
        return None
    onnx.save(_graph(), scratch / "layer.onnx")
    return backend.open(scratch / "layer.onnx", options)


def _wrong(session: Session) -> str | None:
    """Run a 1x1 convolution with equal weights on ones; every output is then channels * weight."""
    with session as opened:
        (found,) = opened.run({"input": np.ones((1, *_SHAPE), np.float32)}).values()
    expected = np.full((1, *_SHAPE), _SHAPE[0] * _WEIGHT, np.float32)
    if found.shape == expected.shape and np.allclose(found, expected, rtol=1e-3):
        return None
    return f"a convolution of ones gave {found.flat[0]} instead of {expected.flat[0]}; install it again"


def _module(_: Path, __: Trust) -> tuple[nn.Module, InputSpec]:
    layer = nn.Conv2d(_SHAPE[0], _SHAPE[0], 1, bias=False)
    nn.init.constant_(layer.weight, _WEIGHT)
    return layer, InputSpec(shapes=(_SHAPE,))


def _graph() -> onnx.ModelProto:
    ports = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *_SHAPE])
        for name in ("input", "output")
    ]
    weight = helper.make_tensor("weight", TensorProto.FLOAT, [3, 3, 1, 1], [_WEIGHT] * 9)
    node = helper.make_node("Conv", ["input", "weight"], ["output"])
    graph = helper.make_graph([node], "layer", ports[:1], ports[1:], initializer=[weight])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def _versions_text(entry: Check) -> str:
    return ", ".join(f"{name} {version}" for name, version in entry.versions.items()) or "-"
