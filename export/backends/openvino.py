"""OpenVINO on the CPU: often the fastest way to run a CNN on Intel processors.

Two of its habits are switched off. On processors with BF16 units it computes fp32 models in bf16 without
being asked, so the precision is fixed to f32. And importing the package imports its model converter, which
reports every import to its makers; the converter is not needed to read ONNX files and is kept out.
"""

import contextlib
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from compressor.base.errors import UsageError
from export.backends import BACKENDS, Array, Feed, Session, SessionOptions, require_device
from export.ports import Ports
from export.quiet import captured_output
from export.session import Taken

_CONVERTER: Final = "openvino.tools.ovc"


class OpenVinoSession(Session):
    """An ONNX file, compiled by OpenVINO.

    OpenVINO may give a tensor several names, so ports are addressed by position, which is that of the file.
    """

    def __init__(self, compiled: Any, ports: Ports) -> None:
        taken = [Taken.of(port.name, port.dtype, port.shape) for port in ports.inputs]
        super().__init__(taken, [port.name for port in ports.outputs], "cpu")
        self._compiled = compiled
        self._request = compiled.create_infer_request()

    def _run(self, feed: Feed) -> dict[str, Array]:
        # Tensors share the memory of the arrays, which therefore have to live until the end of the call.
        arrays = [np.ascontiguousarray(feed[name]) for name in self.input_names]
        try:
            for number, array in enumerate(arrays):
                self._request.set_input_tensor(number, _openvino().Tensor(array, shared_memory=True))
            self._request.infer()
        except (RuntimeError, TypeError) as error:
            raise UsageError(f"the model refuses its input: {error}", "check shapes and types") from error
        outputs = (self._request.get_output_tensor(n).data.copy() for n in range(len(self.output_names)))
        return dict(zip(self.output_names, outputs, strict=True))

    def counters(self) -> list[tuple[str, str, float]]:
        """Return name, operator and milliseconds of every node that ran in the last call, in its order.

        Without ``counters`` at `compiled` there are none.
        """
        said = self._request.profiling_info
        ran = [node for node in said if str(node.status).endswith("EXECUTED")]
        return [(node.node_name, node.node_type, node.real_time.total_seconds() * 1e3) for node in ran]

    def _release(self) -> None:
        self._request = self._compiled = None


class OpenVinoBackend:
    """Opens ``.onnx`` files."""

    name = "openvino"
    suffix = ".onnx"
    usual = False
    packages = ("openvino",)

    def missing(self, device: str) -> str | None:
        """Return why OpenVINO cannot use ``device``, and what to install."""
        if device.partition(":")[0] != "cpu":
            return "OpenVINO runs on the CPU here; use --device cpu, or install a runtime for NVIDIA GPUs"
        try:
            _openvino()
        except ModuleNotFoundError as error:
            return f"{error.name} is not installed; pip install openvino"
        except (ImportError, OSError) as error:
            return f"openvino cannot be imported ({error}); install it again: pip install openvino"
        return None

    def open(self, model: Path, options: SessionOptions) -> OpenVinoSession:
        """Load an ONNX file; see `export.backends.Backend.open`."""
        ports = Ports.read(model)
        require_device(self, options.device)
        with captured_output() as chatter:
            try:
                return OpenVinoSession(compiled(model, options), ports)
            except RuntimeError as error:
                cause = error
        raise UsageError(
            f"openvino cannot load {model}: {cause} {chatter.text}".rstrip(),
            "give an ONNX file, export it again, or use --backend onnxruntime",
        ) from cause


BACKENDS.register("openvino")(OpenVinoBackend())


def compiled(model: Path, options: SessionOptions, *, counters: bool = False) -> Any:
    """Return a compiled file; with ``counters`` its nodes are timed, which costs a little.

    Raises:
        RuntimeError: OpenVINO cannot load it.
    """
    core = _openvino().Core()
    settings: dict[str, str | int | bool] = {
        "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32", "PERF_COUNT": counters,
    }  # fmt: skip
    if options.threads is not None:
        settings["INFERENCE_NUM_THREADS"] = options.threads
    return core.compile_model(core.read_model(model), "CPU", settings)


def _openvino() -> Any:
    loaded = sys.modules.get("openvino")
    if loaded is not None:
        return loaded
    with _hidden(_CONVERTER):
        return importlib.import_module("openvino")


@contextlib.contextmanager
def _hidden(module: str) -> Iterator[None]:
    """Make an import of ``module`` fail inside the block, as if it were not installed."""
    sys.modules[module] = None  # type: ignore[assignment]  # documented: the import system then refuses it
    try:
        yield
    finally:
        del sys.modules[module]
