"""Artifacts: the value that moves through the program, and the folder that it is written to.

``manifest`` says what it is, ``value`` holds it with its live model, ``store`` reads and writes folders,
``vetting`` checks what a folder asks for, ``weights`` reads checkpoints of others, ``card`` is its README.
"""

from compressor.artifact.manifest import Manifest, architecture_of
from compressor.artifact.store import artifact_digest, is_artifact, read_manifest
from compressor.artifact.value import Artifact

__all__ = ["Artifact", "Manifest", "architecture_of", "artifact_digest", "is_artifact", "read_manifest"]
