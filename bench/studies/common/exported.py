"""Networks of a study as files to measure."""

import copy
from pathlib import Path

from torch import nn

from bench.candidates import Candidate
from bench.studies.common.cells import say
from compressor.artifact import Artifact
from export.to_onnx import export_onnx


def exported(name: str, module: nn.Module, whole: Artifact, folder: Path) -> Candidate:
    """Export a network that takes what ``whole`` takes, in a file that is called like it."""
    say(f"exporting: {name}")
    path = folder / f"{name.strip('-').replace(', ', '-').replace(' ', '-')}.onnx"
    file = export_onnx(copy.deepcopy(module), whole.input, path, metadata={})
    return Candidate(name=name, source=file.path, inputs=whole.input, digest=file.sha256)
