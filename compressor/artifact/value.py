"""The one value that moves: a live model with its papers."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from torch import Tensor, nn

from compressor.artifact.manifest import Manifest, architecture_of, dense_manifest
from compressor.artifact.repaired import RepairReport
from compressor.artifact.store import read_artifact, write_artifact
from compressor.artifact.weights import built
from compressor.base.errors import UsageError
from compressor.channels.cost import measure
from compressor.steps.plan import PrunePlan, joined
from compressor.steps.shrink import OracleReport
from compressor.tasks.scores import Moment, Score
from compressor.tasks.task import TASKS, Task
from compressor.zoo import NOBODY, Architecture, Trust
from compressor.zoo.inputs import InputSpec

Shapes = tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A model and what it is. Whatever else is known of it is derived, never passed beside it.

    Attributes:
        module: the model, in evaluation mode.
        manifest: its papers; the digest of the weights is filled in by `save`.
        own: architecture of a live model that nobody can build by name; None where the papers name it.
    """

    module: nn.Module
    manifest: Manifest
    own: Architecture | None = None

    @classmethod
    def of(cls, module: nn.Module, arch: Architecture, weights_from: str = "random initialisation") -> Self:
        """Return a model from which nothing was removed; what it costs is measured."""
        return cls(module=module, manifest=dense_manifest(module, arch, weights_from))

    @classmethod
    def dense(
        cls,
        arch: Architecture,
        weights: Path | None = None,
        options: Mapping[str, Any] | None = None,
        shapes: Shapes | None = None,
    ) -> Self:
        """Build a model, with a foreign checkpoint where there is one.

        Args:
            arch: what is built.
            weights: a checkpoint; random weights without.
            options: constructor arguments; they overrule what the checkpoint implies.
            shapes: of the input, where they are not the usual ones.

        Raises:
            UsageError: the checkpoint cannot be read safely, or does not fit.
        """
        return cls.of(*built(arch, weights, options or {}, shapes))

    @classmethod
    def load(
        cls,
        path: Path,
        options: Mapping[str, Any] | None = None,
        shapes: Shapes | None = None,
        *,
        trust: Trust = NOBODY,
    ) -> Self:
        """Read an artifact folder; see `compressor.artifact.store.read_artifact`.

        Raises:
            ArtifactError: it is damaged, or built by code that is not trusted.
            UsageError: the model cannot be built with the arguments, or does not fit into memory.
        """
        module, manifest = read_artifact(path, options, shapes, trust=trust)
        return cls(module=module, manifest=manifest)

    def save(self, path: str | Path) -> Self:
        """Write a folder, whole or not at all; return the artifact with digest and environment filled in.

        Raises:
            UsageError: ``path`` exists, nothing can rebuild the model, or it is not what its papers say.
            CompressError: the disk is full or not writable; nothing is left behind.
        """
        if self.own is not None:
            raise UsageError(
                f"nothing rebuilds this {type(self.module).__name__}, so that it could not be loaded again",
                "say what builds it before it is pruned: factory='package.module:function'.",
            )
        return replace(self, manifest=write_artifact(self.module, self.manifest, Path(path)))

    @property
    def arch(self) -> Architecture:
        """The architecture, with arguments and input."""
        return self.own or architecture_of(self.manifest)

    @property
    def task(self) -> Task:
        """What it is shown, minimises, and is scored and served by."""
        return TASKS.get(self.arch.task)

    @property
    def input(self) -> InputSpec:
        """Shapes and normalisation of what it takes."""
        return self.manifest.input

    @property
    def view(self) -> nn.Module:
        """The model as it is traced and counted: everything in it runs on one example."""
        return self.arch.view(self.module)

    @property
    def stored(self) -> bool:
        """Whether it was read from a folder, or has been written to one."""
        return bool(self.manifest.sha256)

    def example(self, batch: int = 1) -> list[Tensor]:
        """Return standard normal inputs, each (batch, *shape)."""
        return self.arch.example(batch)

    def deployed(self, form: str | None = None) -> tuple[nn.Module, InputSpec]:
        """Return the form in which it is exported, and what that takes.

        Raises:
            UsageError: the architecture has no such form.
        """
        return self.arch.form(form)(self.module, self.input)

    def changed(
        self, module: nn.Module, plan: PrunePlan, oracle: OracleReport, method: str, data: str = ""
    ) -> Self:
        """Return what a plan made of it; scores and training were another model's.

        Args:
            module: this one's after ``plan``.
            plan: joined to what was done before.
            oracle: its proof.
            method: that made the plan, in words.
            data: that the method looked at; "" where it looked at none.
        """
        papers = replace(
            self.manifest,
            plan=joined(self.manifest.plan, plan),
            method=method,
            cost_after=measure(self.arch.view(module), self.example()),
            data=data,
            scores={},
            recipe=None,
            oracle=oracle,
            repair=None,
        )
        return replace(self, module=module, manifest=papers)

    def repaired(self, module: nn.Module, report: RepairReport, data: str) -> Self:
        """Return what repair made of it; scores were another model's.

        Args:
            module: with the new weights.
            report: on every layer.
            data: data set of the calibration images; "" keeps the one that is named.
        """
        papers = replace(self.manifest, scores={}, repair=report, data=data or self.manifest.data)
        return replace(self, module=module, manifest=papers)

    def scored(self, moment: Moment, score: Score, data: str) -> Self:
        """Return it with one more score, measured on the data set called ``data``."""
        scores = {**self.manifest.scores, moment: score}
        return replace(self, manifest=replace(self.manifest, scores=scores, data=data))

    def digest(self) -> str:
        """Return the sha256 of the papers, which contain that of the weights: the artifact's identity."""
        return self.manifest.digest()
