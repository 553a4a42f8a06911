"""What an artifact is and where it came from, as one JSON document."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import nn

from compressor.artifact.repaired import RepairReport
from compressor.base.documents import Json, check_schema, decode, digest, encode
from compressor.base.errors import ArtifactError, UsageError
from compressor.base.text import foreign
from compressor.channels.cost import Cost, measure
from compressor.steps.plan import PrunePlan, plan_from_json, plan_to_json
from compressor.steps.shrink import OracleReport
from compressor.tasks.recipe import Recipe
from compressor.tasks.scores import Moment, Score
from compressor.zoo import Architecture, find
from compressor.zoo.inputs import InputSpec

SCHEMA_VERSION = 1
_SCORES = "metrics"
"""What the scores are called in the document."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What an artifact is and where it came from.

    Attributes:
        arch: architecture name.
        arch_kwargs: constructor arguments.
        input: shapes and normalisation.
        plan: what was removed; no steps for a dense model.
        method: the criterion or method, with its options, in words.
        cost_before: of the dense model.
        cost_after: of this one.
        weights_from: the checkpoint it started from, or "random initialisation".
        data: dataset spec it was trained on, "" for none.
        scores: how well it did, by split and moment.
        recipe: of the last training, or None.
        oracle: how the plan was checked, or None for a dense model.
        repair: what least squares did to the layers, or None where it did nothing.
        environment: versions that made it.
        sha256: digest of the weights file.
    """

    arch: str
    arch_kwargs: dict[str, Any]
    input: InputSpec
    plan: PrunePlan
    method: str
    cost_before: Cost
    cost_after: Cost
    weights_from: str
    data: str = ""
    scores: Mapping[Moment, Score] = field(default_factory=dict)
    recipe: Recipe | None = None
    oracle: OracleReport | None = None
    repair: RepairReport | None = None
    environment: dict[str, str] = field(default_factory=dict)
    sha256: str = ""

    def digest(self) -> str:
        """Return the sha256 of the manifest, which contains that of the weights: the artifact's identity."""
        return digest(manifest_to_json(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fields:
    """The manifest without its plan, which has a schema version of its own."""

    arch: str
    arch_kwargs: dict[str, Any]
    input: InputSpec
    method: str
    cost_before: Cost
    cost_after: Cost
    weights_from: str
    data: str
    metrics: dict[str, Score]
    recipe: Recipe | None
    oracle: OracleReport | None
    environment: dict[str, str]
    sha256: str
    repair: RepairReport | None = None


def dense_manifest(model: nn.Module, arch: Architecture, weights_from: str) -> Manifest:
    """Return the manifest of a model from which nothing was removed; its cost is measured.

    Raises:
        UsageError: the model does not run on its input.
    """
    try:
        cost = measure(arch.view(model), arch.example())
    except RuntimeError as error:
        raise UsageError(
            f"{foreign(arch.name)} does not run on {arch.input.shapes}: {foreign(error)}",
            "give the input that the model was made for: --input 3x224x224.",
        ) from error
    return Manifest(
        arch=arch.name,
        arch_kwargs=dict(arch.kwargs),
        input=arch.input,
        plan=PrunePlan(arch=arch.name, steps=()),
        method="dense",
        cost_before=cost,
        cost_after=cost,
        weights_from=weights_from,
    )


def manifest_to_json(manifest: Manifest) -> Json:
    """Return a manifest as JSON, schema version first."""
    plain = replace(manifest, plan=PrunePlan(arch=manifest.arch, steps=()), scores={})
    fields = {_SCORES if name == "scores" else name: value for name, value in encode(plain).items()}
    fields[_SCORES] = {str(moment): encode(score) for moment, score in manifest.scores.items()}
    if manifest.repair is None:
        del fields["repair"]  # papers of what was never repaired read as they always did
    return {"schema_version": SCHEMA_VERSION, **fields, "plan": plan_to_json(manifest.plan)}


def manifest_from_json(data: Json, where: str) -> Manifest:
    """Rebuild a manifest.

    Raises:
        ArtifactError: another schema version, or fields that do not fit.
    """
    check_schema(data, SCHEMA_VERSION, where)
    rest = {k: v for k, v in data.items() if k not in ("schema_version", "plan", "digest")}
    fields = decode(_Fields, rest, where)
    plan = plan_from_json(data.get("plan", {}), f"{where}: plan")
    scores = {_moment(text, where): score for text, score in fields.metrics.items()}
    known = {name: getattr(fields, name) for name in _Fields.__slots__ if name != _SCORES}
    return Manifest(plan=plan, scores=scores, **known)


def _moment(text: str, where: str) -> Moment:
    try:
        return Moment.parse(text)
    except UsageError as error:
        raise ArtifactError(f"{where}: {error.message}", "write the artifact again.") from error


def architecture_of(manifest: Manifest) -> Architecture:
    """Return the architecture that a manifest names, with its arguments and input.

    Raises:
        UsageError: an argument is none that the architecture declares.
    """
    return find(manifest.arch).given(manifest.arch_kwargs, manifest.input)
