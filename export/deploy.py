"""From an artifact to a file that was compared with PyTorch; a file that fails is not left behind."""

from pathlib import Path

from torch import nn

from compressor.artifact import Manifest
from export.backends import BACKENDS, SessionOptions
from export.backends.pytorch import TorchSession
from export.metadata import metadata_of
from export.parity import ParityReport, compare
from export.to_onnx import OnnxFile, export_onnx


def deploy(
    model: nn.Module, manifest: Manifest, path: Path, *, threads: int | None = None
) -> tuple[OnnxFile, ParityReport]:
    """Export a model and prove that the file computes the same.

    Raises:
        ParityError: the file differs from PyTorch beyond the limit of its precision; it is removed.
        UsageError: ``path`` exists.
    """
    file = export_onnx(model, manifest.input, path, metadata=metadata_of(manifest))
    options = SessionOptions(threads=threads)
    try:
        with (
            TorchSession(model, manifest.input, options) as reference,
            BACKENDS.get("onnxruntime").open(path, options) as candidate,
        ):
            return file, compare(reference, candidate, manifest.input)
    except Exception:
        for part in (path, path.with_name(f"{path.name}.data")):
            part.unlink(missing_ok=True)
        raise
