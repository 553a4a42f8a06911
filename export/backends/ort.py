"""ONNX Runtime: CPU, and CUDA through the same wheel.

ONNX Runtime falls back to the CPU in two places, and reports success both times: in Python when a provider
raises, and per node when a kernel is missing. Both are switched off, and the provider that the session
reports is checked; so a session on ``cuda`` runs there or does not open.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument

from compressor.base.errors import BackendMissingError, CompressError, UsageError
from export.backends import BACKENDS, Array, Feed, Session, SessionOptions, require_device
from export.quiet import captured_output
from export.session import OPEN, Taken

PACKAGES: Final = ("onnxruntime-gpu", "onnxruntime")

_TYPES: Final[dict[str, np.dtype[Any]]] = {
    **{name: np.dtype(name) for name in ("bool", "float16", "int8", "int16", "int32", "int64")},
    **{name: np.dtype(name) for name in ("uint8", "uint16", "uint32", "uint64")},
    "float": np.dtype(np.float32),
    "double": np.dtype(np.float64),
}
"""ONNX Runtime's names of the element types that NumPy has too."""

_PROVIDERS: Final = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


class OrtSession(Session):
    """An ONNX file, open in ONNX Runtime."""

    def __init__(self, session: Any, device: str) -> None:
        taken = [_taken(value) for value in session.get_inputs()]
        super().__init__(taken, [value.name for value in session.get_outputs()], device)
        self._session = session

    def _run(self, feed: Feed) -> dict[str, Array]:
        try:
            outputs = self._called(feed)
        except InvalidArgument as error:
            raise UsageError(f"the model refuses its input: {error}", "check shapes and types") from error
        return dict(zip(self.output_names, outputs, strict=True))

    def _called(self, feed: Feed) -> Sequence[Array]:
        outputs: Sequence[Array] = self._session.run(self.output_names, feed)
        return outputs

    def _release(self) -> None:
        self._session = None


class BoundOrtSession(OrtSession):
    """The same, with outputs that stay on the device until all are computed and are copied once.

    Without a binding ONNX Runtime places outputs by its own choice, and may wait for each copy.
    """

    def _called(self, feed: Feed) -> Sequence[Array]:
        binding = self._session.io_binding()
        kind, _, index = self.device.partition(":")
        for name in self.input_names:
            binding.bind_cpu_input(name, np.ascontiguousarray(feed[name]))
        for name in self.output_names:
            binding.bind_output(name, kind, int(index or 0))
        self._session.run_with_iobinding(binding)
        outputs: Sequence[Array] = binding.copy_outputs_to_cpu()
        return outputs


class OrtBackend:
    """Opens ``.onnx`` files."""

    name = "onnxruntime"
    suffix = ".onnx"
    usual = True
    packages = PACKAGES

    def missing(self, device: str) -> str | None:
        """Return why ONNX Runtime cannot use ``device``; CUDA is tried with a model of one node."""
        kind = device.partition(":")[0]
        if _PROVIDERS[kind] not in onnxruntime.get_available_providers():
            return f"this build of onnxruntime has no {_PROVIDERS[kind]}; install onnxruntime-gpu"
        return None if kind == "cpu" else _cuda_failure(device)

    def open(self, model: Path, options: SessionOptions) -> OrtSession:
        """Load an ONNX file; see `export.backends.Backend.open`."""
        if not model.is_file():
            raise UsageError(f"{model} is not a file", "give the path of an .onnx file")
        require_device(self, options.device)
        with captured_output() as chatter:
            try:
                session = _session(str(model), options)
            except Exception as error:  # the binding's exceptions have no base class of their own
                cause = error
            else:
                kind = OrtSession if options.device == "cpu" else BoundOrtSession
                opened = kind(session, options.device)
                opened.spinning = options.spinning
                return opened
        raise _open_error(model, options, cause, chatter.text) from cause


BACKENDS.register("onnxruntime")(OrtBackend())


def _taken(value: Any) -> Taken:
    """Return what ONNX Runtime says of an input; of one without a shape it says the same as of a scalar."""
    kind = value.type.removeprefix("tensor(").removesuffix(")")
    shape = tuple(size if isinstance(size, int) else OPEN for size in value.shape)
    return Taken.of(value.name, _TYPES.get(kind), shape or None)


def _session(model: str | bytes, options: SessionOptions) -> Any:
    provider = _PROVIDERS[options.device.partition(":")[0]]
    settings = onnxruntime.SessionOptions()
    if options.threads is not None:
        settings.intra_op_num_threads = options.threads
    if options.spinning == "stopped":
        settings.add_session_config_entry("session.force_spinning_stop", "1")
    arguments: dict[str, str] = {}
    if provider != _PROVIDERS["cpu"]:
        settings.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        arguments["device_id"] = str(options.cuda_index)
        onnxruntime.preload_dlls()  # CUDA libraries that came with torch's wheels are on no search path
    session = onnxruntime.InferenceSession(
        model, settings, providers=[(provider, arguments)], enable_fallback=0
    )
    loaded = session.get_providers()[0]
    if loaded != provider:
        raise BackendMissingError(f"{provider} did not load, {loaded} did", "see `compress doctor`")
    return session


def _cuda_failure(device: str) -> str | None:
    """Return why a session on CUDA does not open."""
    with captured_output() as chatter:
        try:
            _session(_one_relu(), SessionOptions(device=device))
        except Exception as error:
            reason = str(error)
        else:
            return None
    said = next((line for line in chatter.text.splitlines() if "with error:" in line), reason)
    detail = said.rpartition("with error:")[2].strip()
    return f"{detail}; install a driver, and the CUDA and cuDNN versions that onnxruntime-gpu was built with"


def _one_relu() -> bytes:
    from onnx import TensorProto, helper

    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "probe", ports[:1], ports[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    serialised: bytes = model.SerializeToString()
    return serialised


def _open_error(model: Path, options: SessionOptions, cause: Exception, chatter: str) -> CompressError:
    if isinstance(cause, CompressError):
        return cause
    if "fallback to CPU EP has been explicitly disabled" in str(cause):
        return BackendMissingError(
            f"{options.device} has no kernel for some operators of {model}, and the CPU is not used"
            f" silently: {chatter.strip()}",
            "export the model without those operators, or run it with --device cpu",
        )
    return UsageError(f"onnxruntime cannot load {model}: {cause}", "give an ONNX file, or export it again")
