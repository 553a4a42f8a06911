"""Models that one command measures beside each other: opened alike, and fed alike where they can follow."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.candidates import Candidate, candidate, file_candidate
from compressor.artifact import Artifact, architecture_of, is_artifact, opening, read_manifest
from compressor.artifact.opening import Levers
from compressor.artifact.value import Shapes
from compressor.base.text import foreign
from compressor.cli import output
from compressor.cli.sources import announce, open_model, parse_shapes, trust_in, wanted
from compressor.zoo import Trust
from export.backends import BACKENDS, file_suffixes
from export.metadata import read_exported

Sources = Mapping[str, Path | Artifact]
"""Name -> a file as it is, or the artifact of anything else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """Models as typed, the baseline first.

    Attributes:
        names: files, artifacts, architectures, factories.
        shape: of ``--input``; None where files say what the others follow.
        levers: numbers of boxes that detectors are given anew.
        seed: of random weights.
        threads: of comparisons with PyTorch.
        trust_code: whether factories that artifacts name may be imported.
    """

    names: tuple[str, ...]
    shape: str | None
    seed: int
    threads: int | None
    trust_code: bool
    levers: Levers = field(default_factory=dict)

    @property
    def trust(self) -> Trust:
        """Whose code may run."""
        return trust_in(self.names, everything=self.trust_code)

    def sources(self) -> Sources:
        """Open what was typed, each name once: files as they are, and artifacts; names follow others' input.

        Raises:
            CompressError: one cannot be read.
        """
        followed = self._followed()
        return {name: self._source(name, followed) for name in dict.fromkeys(self.names)}

    def candidate(self, name: str, source: Path | Artifact, backend: str, scratch: Path) -> Candidate:
        """Return a model in the form that a backend opens, made in ``scratch`` where it has another.

        Raises:
            UsageError: the backend opens nothing of this kind.
            ParityError: the exported file differs from PyTorch.
        """
        opener = BACKENDS.get(backend)
        if isinstance(source, Path):
            return file_candidate(source, opener, parse_shapes(self.shape) if self.shape else None)
        return candidate(name, source, opener, scratch, threads=self.threads, say=output.say)

    def _followed(self) -> str | None:
        """Return the input that names and factories are built for: ``--input``, or that of files beside."""
        if self.shape:
            return self.shape
        fixed = {name: found for name in self.names if (found := _fixed(name, self.trust))}
        free = [name for name in self.names if name not in fixed]
        if not fixed or not free:
            return None
        leader, shapes = next(iter(fixed.items()))
        text = ",".join("x".join(map(str, shape)) for shape in shapes)
        output.say(f"{', '.join(map(foreign, free))} at {text}, as {foreign(leader)} takes")
        return text

    def _source(self, name: str, followed: str | None) -> Path | Artifact:
        """Return a file, an artifact, or an unpruned model, whose speed does not depend on its weights."""
        path = Path(name)
        if path.suffix in file_suffixes():
            return path
        if not is_artifact(path):
            dense = open_model(name, None, None, followed, trust=self.trust, seed=self.seed)
            output.say(f"{name}: {dense.manifest.weights_from}")
            return dense
        # a detector's input and numbers of boxes may be set anew; of other artifacts --input is not meant
        resizable = architecture_of(announce(path, self.trust)).levers
        shape, levers = (self.shape, self.levers) if resizable else (None, {})
        return opening.open_model(name, wanted(shape=shape, levers=levers, trust=self.trust))


def _fixed(name: str, trust: Trust) -> Shapes:
    """Return the shapes that a file or artifact takes and that cannot follow others; nothing for names."""
    path = Path(name)
    if path.suffix in file_suffixes() and path.is_file():
        file = read_exported(path)
        said = file.said_input
        return file.task.serving.shapes(said) if said else ()
    if not is_artifact(path):
        return ()
    return read_manifest(path, trust).input.shapes
