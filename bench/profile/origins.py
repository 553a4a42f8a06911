"""The graph of a profiled file: its own, or that of the ONNX file from which an engine was built."""

from pathlib import Path

from bench.profile.graph import Graph
from compressor.base.errors import ArtifactError, UsageError
from export.tensorrt.sidecar import read_record
from export.tensorrt.source import OnnxSource


def graph_of(file: Path) -> Graph | None:
    """Return the graph of a file; of an engine None where the ONNX file of its digest is not beside it.

    Raises:
        UsageError: an ONNX file cannot be read.
    """
    if file.suffix == ".onnx":
        return Graph.read(file)
    source = file.with_suffix(".onnx")
    try:
        if not source.is_file() or OnnxSource.read(source).sha256 != read_record(file).onnx_sha256:
            return None
    except (ArtifactError, UsageError):
        return None
    return Graph.read(source)
