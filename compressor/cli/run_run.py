"""What ``compress run`` prints: stages while they run, then one table or one document."""

from pathlib import Path
from typing import Any

import torch

from compressor.artifact import Manifest
from compressor.base.documents import encode
from compressor.chain.folder import Completed, run_chain
from compressor.chain.recipes import DryRun, dry_run
from compressor.chain.settings import Pipeline
from compressor.cli import output
from compressor.tasks.scores import Moment


def plan(pipeline: Pipeline, recipe: Path, *, json: bool) -> None:
    """Print what pruning by ``pipeline`` would do."""
    dry = dry_run(pipeline)
    if json:
        output.print_json(
            {"recipe": str(recipe), "dry_run": True, **_about(dry.manifest), "plan": _plan(dry)}
        )
        return
    groups = [(g.name, g.size, g.requested, g.kept, g.reason) for g in dry.manifest.plan.decisions]
    output.show(
        output.table(("group", "size", "requested", "kept", "why"), groups),
        output.table(("", "parameters", "MACs (conv + linear)"), _costs(dry.manifest)),
    )


def run(pipeline: Pipeline, recipe: Path, folder: Path, device: torch.device, *, json: bool) -> None:
    """Run the chain and print its result."""
    done = run_chain(pipeline, folder, device=device, say=output.say)
    if json:
        output.print_json(
            {"recipe": str(recipe), "folder": str(folder), **_about(done.manifest), **_made(done)}
        )
        return
    output.show(output.table(("", "parameters", "MACs (conv + linear)", "test"), _scored(done)))
    output.show(f"weights: {done.manifest.weights_from}; data: {done.manifest.data or '-'}")
    for stage in done.stages:
        output.show(f"{stage.name}: {folder / stage.output}")
    output.show("MACs are not speed: compress bench measures it.")


def _about(manifest: Manifest) -> dict[str, Any]:
    return {
        "model": manifest.arch,
        "weights": manifest.weights_from,
        "method": manifest.method,
        "cost_before": encode(manifest.cost_before),
        "cost_after": encode(manifest.cost_after),
    }


def _plan(dry: DryRun) -> dict[str, Any]:
    plan = dry.manifest.plan
    return {
        "digest": plan.digest(),
        "groups": [encode(group) for group in plan.decisions],
        "notes": list(plan.notes),
        "oracles": [encode(oracle) for oracle in dry.oracles],
    }


def _made(done: Completed) -> dict[str, Any]:
    return {
        "data": done.manifest.data,
        "metrics": {str(moment): encode(score) for moment, score in done.manifest.scores.items()},
        "stages": [
            {
                "name": stage.name,
                "output": str(done.folder / stage.output),
                "digest": stage.digest,
                "skipped": stage.name in done.skipped,
            }
            for stage in done.stages
        ],
    }


def _costs(manifest: Manifest) -> list[tuple[str, str, str]]:
    before, after = manifest.cost_before, manifest.cost_after
    return [
        ("dense", f"{before.params:,}", f"{before.macs:,}"),
        (
            "pruned",
            f"{after.params:,} ({after.params / before.params:.1%})",
            f"{after.macs:,} ({after.macs / before.macs:.1%})",
        ),
    ]


def _scored(done: Completed) -> list[tuple[str, str, str, str]]:
    """Return one row per moment at which the model was scored."""
    dense, pruned = _costs(done.manifest)
    rows = []
    for moment, cost in (("dense", dense), ("pruned", pruned), ("repaired", pruned), ("fine-tuned", pruned)):
        score = done.manifest.scores.get(Moment("test", moment))
        if score is not None:
            rows.append((moment, cost[1], cost[2], score.describe()))
    return rows
