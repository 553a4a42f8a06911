"""TensorRT engines, built by `export.tensorrt.build` for the GPU that runs them."""

from dataclasses import dataclass, field
from pathlib import Path

from compressor.base.errors import UsageError
from export.backends import BACKENDS, SessionOptions, require_device
from export.tensorrt.device import CudaDevice
from export.tensorrt.load import EngineOptions, load_engine
from export.tensorrt.presence import TENSORRT_PACKAGES, missing_tensorrt
from export.tensorrt.session import EngineSession


@dataclass(frozen=True, slots=True)
class TensorRtBackend:
    """Opens ``.engine`` files.

    Attributes:
        engines: how they are opened, in particular whether one without a sidecar is trusted.
    """

    engines: EngineOptions = field(default_factory=EngineOptions)
    name: str = "tensorrt"
    suffix: str = ".engine"
    usual: bool = True
    packages: tuple[str, ...] = TENSORRT_PACKAGES

    def missing(self, device: str) -> str | None:
        """Return why TensorRT cannot use ``device``, and what to install."""
        return missing_tensorrt(device)

    def open(self, model: Path, options: SessionOptions) -> EngineSession:
        """Load an engine; see `export.backends.Backend.open`.

        Raises:
            ArtifactError: its sidecar is missing, or does not agree with it or with this machine.
        """
        if not model.is_file():
            raise UsageError(f"{model} is not a file", "give the path of an .engine file")
        require_device(self, options.device)
        device = CudaDevice(options.cuda_index)
        with device.active():
            opened = load_engine(model, device, self.engines)
            return EngineSession(opened, device, options.device, self.engines)


BACKENDS.register("tensorrt")(TensorRtBackend())
