"""ONNX Runtime with TensorRT underneath: ONNX files in, engines built on first use and kept in a cache.

ONNX Runtime's wheel is linked to one major version of TensorRT. Where another one is installed the provider
does not load, ONNX Runtime prints a line, and everything runs somewhere else. Here the versions are compared
first, no other provider may take a node, and the provider that the session reports is checked.

Engines are built for the shapes that arrive: the first run of a larger batch than any before builds again.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import onnx
import onnxruntime

from compressor.base.errors import BackendMissingError, CompressError, UsageError
from compressor.base.files import user_cache
from export.backends import BACKENDS, SessionOptions, require_device
from export.backends.ort import PACKAGES, OrtSession
from export.quiet import captured_output
from export.tensorrt import api as trt
from export.tensorrt.device import GpuFacts, gpu_facts
from export.tensorrt.presence import TENSORRT_PACKAGES, missing_tensorrt, version_numbers
from export.tensorrt.sidecar import sha256
from export.tensorrt.source import OnnxSource

PROVIDER: Final = "TensorrtExecutionProvider"

_LIBRARY: Final = Path(onnxruntime.__file__).parent / "capi" / "libonnxruntime_providers_tensorrt.so"
_QUANTISED: Final = frozenset({"QuantizeLinear", "DequantizeLinear"})


@dataclass(frozen=True, slots=True)
class OrtTensorRtBackend:
    """Opens ``.onnx`` files with TensorRT and nothing else.

    Attributes:
        cache: folder for engines and timing caches, one subfolder for each combination of model, GPU and
            versions; None takes the user's cache folder. Engines are native code: nobody else should be
            able to write there.
    """

    cache: Path | None = None
    name: str = "ort-tensorrt"
    suffix: str = ".onnx"
    usual: bool = False
    packages: tuple[str, ...] = (*PACKAGES, *TENSORRT_PACKAGES)

    def missing(self, device: str) -> str | None:
        """Return why TensorRT cannot run below ONNX Runtime on ``device``, and what to install."""
        if device.partition(":")[0] == "cuda" and PROVIDER not in onnxruntime.get_available_providers():
            return f"this build of onnxruntime has no {PROVIDER}; install onnxruntime-gpu"
        return missing_tensorrt(device) or mismatch(linked_major(_LIBRARY), trt.__version__)

    def open(self, model: Path, options: SessionOptions) -> OrtSession:
        """Load an ONNX file; see `export.backends.Backend.open`. The first run builds the engine."""
        if not model.is_file():
            raise UsageError(f"{model} is not a file", "give the path of an .onnx file")
        require_device(self, options.device)
        source = OnnxSource.read(model)
        root = self.cache or user_cache("ort-tensorrt")
        folder = engine_folder(root, source, gpu_facts(options.cuda_index), trt.__version__)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return opened(source, provider_options(source, folder, options.cuda_index), options.device)


BACKENDS.register("ort-tensorrt")(OrtTensorRtBackend())


def opened(source: OnnxSource, arguments: dict[str, str], device: str) -> OrtSession:
    """Return a session whose nodes all run in TensorRT.

    Raises:
        BackendMissingError: the provider did not load, or does not take every node.
        UsageError: ONNX Runtime cannot read the file.
    """
    with captured_output() as chatter:
        try:
            session = _session(source.path, arguments)
        except Exception as error:  # the binding's exceptions have no base class of their own
            raise _open_error(source.path, error) from error
    loaded = session.get_providers()[0]
    if loaded != PROVIDER:
        raise BackendMissingError(
            f"{PROVIDER} did not load, {loaded} did: {_why_not_loaded(chatter.text)}",
            "install the TensorRT, CUDA and cuDNN that onnxruntime-gpu was built with (`compress doctor`)",
        )
    return OrtSession(session, device)


def provider_options(source: OnnxSource, folder: Path, index: int) -> dict[str, str]:
    """Return the provider's options: both caches in ``folder``, and the precisions that the graph has."""
    options = {
        "device_id": str(index),
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(folder),
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": str(folder),
    }
    # The provider builds weakly typed networks, which refuse types that were not enabled.
    if onnx.TensorProto.FLOAT16 in source.element_types:
        options["trt_fp16_enable"] = "1"
    if source.operators & _QUANTISED:
        options["trt_int8_enable"] = "1"
    return options


def engine_folder(root: Path, source: OnnxSource, gpu: GpuFacts, tensorrt: str) -> Path:
    """Return the folder for the engines of a model on a GPU; ONNX Runtime itself does not tell them apart."""
    parts = (source.sha256, gpu.name, gpu.compute_capability, gpu.driver, tensorrt, onnxruntime.__version__)
    return root / sha256("\n".join(parts).encode())[:16]


def linked_major(library: Path) -> int | None:
    """Return the major version of TensorRT that ONNX Runtime's provider is linked to, None if unknown."""
    if not library.is_file():
        return None
    found = re.search(rb"libnvinfer\.so\.(\d+)", library.read_bytes())
    return int(found[1]) if found else None


def mismatch(linked: int | None, installed: str) -> str | None:
    """Return why an installed TensorRT does not serve ONNX Runtime, or None if it does."""
    if linked is None or version_numbers(installed)[0] == linked:
        return None
    return (
        f"onnxruntime {onnxruntime.__version__} is linked to libnvinfer.so.{linked}, installed is TensorRT"
        f' {installed}; pip install "tensorrt-cu13>={linked},<{linked + 1}", or use the tensorrt backend'
    )


def _session(path: Path, arguments: dict[str, str]) -> Any:
    settings = onnxruntime.SessionOptions()
    settings.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    onnxruntime.preload_dlls()  # CUDA libraries that came with torch's wheels are on no search path
    return onnxruntime.InferenceSession(
        str(path), settings, providers=[(PROVIDER, arguments)], enable_fallback=0
    )


def _why_not_loaded(chatter: str) -> str:
    said = [line for line in chatter.splitlines() if "with error:" in line]
    return said[0].rpartition("with error:")[2].strip() if said else "it gave no reason"


def _open_error(path: Path, cause: Exception) -> CompressError:
    if "fallback to CPU EP has been explicitly disabled" in str(cause):
        return BackendMissingError(
            f"TensorRT does not take every node of {path}, and no other provider is used silently: {cause}",
            "run it with --backend onnxruntime, or export the model without those operators",
        )
    if "install TensorRT libraries" in str(cause):
        return BackendMissingError(
            f"{PROVIDER} did not load: {cause}", "install TensorRT and a driver (`compress doctor`)"
        )
    return UsageError(f"onnxruntime cannot load {path}: {cause}", "give an ONNX file, or export it again")
