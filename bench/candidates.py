"""What is measured: files as they are, and artifacts in the form that a runtime opens."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from compressor.artifact import Artifact
from compressor.artifact.value import Shapes
from compressor.base.errors import UsageError
from compressor.base.files import file_digest
from compressor.base.pace import Say
from compressor.base.text import foreign
from compressor.data import DataSplits
from compressor.zoo.inputs import InputSpec
from export.backends import Backend, Session, SessionOptions
from export.backends.pytorch import TorchBackend
from export.deploy import DeploySettings, deploy
from export.metadata import read_exported
from export.scored import opened

OpenData = Callable[[str, SessionOptions], DataSplits]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A model to measure.

    Attributes:
        name: as the user wants to read it; unique in a benchmark.
        source: file or folder that the backend opens, or a live model for PyTorch.
        inputs: shapes without the batch axis.
        digest: sha256 of the file, or identity of the artifact.
        precision: ``fp32``, ``fp16`` or ``int8``; what else `export.metadata.read_precision` finds in a file.
        data: opens a data set by its name for this model; None where the model does not say what it is shown.
    """

    name: str
    source: Path | Artifact
    inputs: InputSpec
    digest: str
    precision: str = "fp32"
    data: OpenData | None = None

    def opened(self, backend: Backend, options: SessionOptions) -> AbstractContextManager[Session]:
        """Open it.

        Raises:
            UsageError: the backend does not open what it is.
            BackendMissingError: the device is not usable.
        """
        if isinstance(self.source, Path):
            return backend.open(self.source, options)
        if not isinstance(backend, TorchBackend):
            raise UsageError(f"backend {backend.name} runs files only", "export the model first.")
        return backend.live(*self.source.deployed(), options)


def require_same_inputs(models: Sequence[Candidate]) -> None:
    """Refuse models of different inputs.

    Raises:
        UsageError: one takes other shapes than the first.
    """
    for model in models[1:]:
        if model.inputs.shapes != models[0].inputs.shapes:
            raise UsageError(
                f"{foreign(model.name)} takes {_in_words(model.inputs)}, but {foreign(models[0].name)} takes "
                f"{_in_words(models[0].inputs)}: their times say nothing of each other",
                "export both for one size, or give --input for models that can follow it",
            )


def _in_words(inputs: InputSpec) -> str:
    return ", ".join("x".join(map(str, shape)) for shape in inputs.shapes)


def file_candidate(path: Path, backend: Backend, shapes: Shapes | None = None) -> Candidate:
    """Return a file that was exported before.

    Args:
        path: the file.
        backend: what will open it.
        shapes: of its inputs, where it does not say.

    Raises:
        UsageError: it is missing, or nothing that the backend opens.
    """
    if not path.is_file():
        raise UsageError(f"there is no file {path}", "check the path, or export it: compress export.")
    if backend.suffix != path.suffix:
        wanted = f"a {backend.suffix} file" if backend.suffix else "the artifact folder"
        raise UsageError(f"{path} is nothing that this backend opens", f"give {wanted}.")
    file = read_exported(path)
    return Candidate(
        name=str(path), source=path, inputs=file.input(shapes), digest=file_digest(path),
        precision=file.precision, data=partial(_data_for_file, path, backend.name, shapes),
    )  # fmt: skip


def _data_for_file(
    path: Path, backend: str, shapes: Shapes | None, spec: str, options: SessionOptions
) -> DataSplits:
    with opened(path, options, backend, shapes) as file:
        return file.task.data.open(spec, file.inputs, file.model)


def _data_for_artifact(artifact: Artifact, spec: str, options: SessionOptions) -> DataSplits:
    return artifact.task.data.open(spec, artifact.arch.input, artifact.module)


def candidate(
    name: str, artifact: Artifact, backend: Backend, scratch: Path, *, threads: int | None, say: Say
) -> Candidate:
    """Return an artifact in the form that a backend opens, made on the way where it has another.

    Args:
        name: as the user wants to read it.
        artifact: what is measured.
        backend: what will open it.
        scratch: folder for what is made on the way; what is there already is not made again.
        threads: of the comparison with PyTorch.
        say: told what is made.

    Raises:
        ParityError: the exported file differs from PyTorch.
    """
    data = partial(_data_for_artifact, artifact)
    if isinstance(backend, TorchBackend):
        inputs = artifact.deployed()[1]
        return Candidate(name=name, source=artifact, inputs=inputs, digest=artifact.digest(), data=data)
    path = scratch / f"{artifact.digest()[:16]}{backend.suffix}"
    if backend.suffix == ".onnx":
        if not path.exists():
            say(f"exporting {name}")
            deploy(artifact, path, DeploySettings(threads=threads, align=None))
        file = read_exported(path)
        return Candidate(
            name=name, source=path, inputs=file.input(), digest=file_digest(path), precision=file.precision,
            data=data,
        )  # fmt: skip
    if backend.suffix:
        raise UsageError(
            f"{name} is nothing that this backend opens",
            f"give a {backend.suffix} file: compress export makes one.",
        )
    if not path.exists():
        artifact.save(path)
    inputs = artifact.deployed()[1]
    return Candidate(name=name, source=path, inputs=inputs, digest=artifact.digest(), data=data)
