"""From an artifact to a file that was compared with PyTorch; a file that fails is not left behind."""

from pathlib import Path
from typing import Final

from torch import nn

from compressor.artifact import Manifest, architecture_of
from export.backends import BACKENDS, SessionOptions
from export.backends.pytorch import TorchSession
from export.metadata import metadata_of
from export.parity import ParityReport, compare
from export.parity_detections import compare_detections
from export.to_onnx import OnnxFile, export_onnx

COMPARISONS: Final = {"classification": compare, "detection": compare_detections}
"""How two forms of a model are compared, by task."""


def deploy(
    model: nn.Module, manifest: Manifest, path: Path, *, threads: int | None = None
) -> tuple[OnnxFile, ParityReport]:
    """Export a model and prove that the file computes the same.

    Raises:
        ParityError: the file differs from PyTorch beyond the limit of its precision; it is removed.
        UsageError: ``path`` exists.
    """
    arch = architecture_of(manifest)
    module, inputs = arch.deployed(model, manifest.input)
    file = export_onnx(module, inputs, path, metadata=metadata_of(manifest, inputs, model))
    options = SessionOptions(threads=threads)
    try:
        with (
            TorchSession(module, inputs, options) as reference,
            BACKENDS.get("onnxruntime").open(path, options) as candidate,
        ):
            return file, COMPARISONS[arch.task](reference, candidate, inputs)
    except Exception:
        for part in (path, path.with_name(f"{path.name}.data")):
            part.unlink(missing_ok=True)
        raise
