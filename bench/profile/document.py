"""The JSON form of profiles: one model, or two with their pairs."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Final

from bench.profile.nodes import Node
from bench.profile.pairs import Pair, by_stage, paired
from bench.profile.run import Profile
from bench.run import SYNTHETIC_NOTE
from compressor.base.text import foreign

SCHEMA_VERSION: Final = 1
_FIELDS: Final = (
    "name", "kind", "module", "ms", "share", "precision", "macs", "in_channels", "out_channels",
)  # fmt: skip


def profiles_to_json(profiles: Sequence[Profile], environment: dict[str, str]) -> dict[str, Any]:
    """Return a JSON-able dictionary, ``schema_version`` first; two profiles are paired."""
    pairs = paired(*profiles) if len(profiles) == 2 else ()
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "profile",
        "models": [_model(one) for one in profiles],
        "pairs": [_pair(pair) for pair in pairs],
        "environment": environment,
        "notes": notes_of(profiles),
    }


def notes_of(profiles: Sequence[Profile]) -> list[str]:
    """Return what holds for the figures, and the time of each model by stage."""
    words = [note for one in profiles for note in one.notes]
    return [*words, *map(_stages, profiles), SYNTHETIC_NOTE]


def _stages(profile: Profile) -> str:
    stages = by_stage(profile.nodes)
    parts = [f"{foreign(stage)} {ms:.3g} ms ({ms / profile.total_ms:.0%})" for stage, ms in stages.items()]
    return f"{foreign(profile.candidate.name)} by stage: {', '.join(parts)}"


def _model(profile: Profile) -> dict[str, Any]:
    candidate, settings = profile.candidate, profile.settings
    return {
        "name": candidate.name,
        "digest": candidate.digest,
        "backend": settings.backend,
        "threads": settings.threads,
        "batch": settings.batch,
        "precision": candidate.precision,
        "shapes": [list(shape) for shape in candidate.inputs.shapes],
        "total_ms": profile.total_ms,
        "reorders": profile.reorders,
        "nodes": [_node(node) for node in profile.nodes],
        "lints": [dataclasses.asdict(lint) for lint in profile.lints],
    }


def _node(node: Node) -> dict[str, Any]:
    return {field: getattr(node, field) for field in _FIELDS}


def _pair(pair: Pair) -> dict[str, Any]:
    return {**dataclasses.asdict(pair), "saved_ms": pair.saved_ms}
