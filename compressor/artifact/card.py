"""The model card of an artifact, written from its manifest."""

import json

from compressor.artifact.manifest import Manifest
from compressor.base.text import foreign, markdown
from compressor.channels.cost import Cost


def model_card(manifest: Manifest) -> str:
    """Return the text of an artifact's README.md."""
    before, after = manifest.cost_before, manifest.cost_after
    lines = [
        "---",
        f"base_model: {_quoted(manifest.arch)}",
        f"datasets: [{_quoted(manifest.data)}]" if manifest.data else "datasets: []",
        "tags: [pruned]" if manifest.plan.steps else "tags: []",
        "---",
        "",
        f"# {markdown(manifest.arch)}, {markdown(manifest.method)}",
        "",
        f"Weights from: {markdown(manifest.weights_from)}. Inputs: {_shapes(manifest)}.",
        "",
        "| | before | after | share |",
        "|---|---:|---:|---:|",
        _row("parameters", before.params, after.params),
        _row("MACs (convolution + linear)", before.macs, after.macs),
        *_thop_row(before, after),
        "",
        "MACs are work, not speed: measure speed on the target with `compress bench`.",
        *_repair(manifest),
        *_accuracy(manifest),
        *(
            [""] + [f"Note: {markdown(note, 1000)}." for note in manifest.plan.notes]
            if manifest.plan.notes
            else []
        ),
        "",
        'Load it with `compressor.load("FOLDER")`, or give its folder to any command of `compress`.',
    ]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """Return text as YAML writes it, which reads JSON's strings, except for pairs of surrogates."""
    return json.dumps(foreign(text), ensure_ascii=False)


def _shapes(manifest: Manifest) -> str:
    return ", ".join("x".join(str(n) for n in shape) for shape in manifest.input.shapes)


def _row(name: str, before: int, after: int) -> str:
    return f"| {name} | {before:,} | {after:,} | {after / max(before, 1):.1%} |"


def _thop_row(before: Cost, after: Cost) -> list[str]:
    if before.thop_macs is None or after.thop_macs is None:
        return []
    return [_row("MACs as thop counts them", before.thop_macs, after.thop_macs)]


def _repair(manifest: Manifest) -> list[str]:
    return ["", f"Repaired without labels: {manifest.repair.describe()}."] if manifest.repair else []


def _accuracy(manifest: Manifest) -> list[str]:
    if not manifest.scores:
        return ["", "Accuracy was not measured."]
    rows = [f"- {markdown(str(moment))}: {score.describe()}" for moment, score in manifest.scores.items()]
    return ["", f"Accuracy on {markdown(manifest.data)}:", "", *rows, *_val_caution(manifest)]


def _val_caution(manifest: Manifest) -> list[str]:
    if not any(moment.split == "val" for moment in manifest.scores):
        return []
    return [
        "",
        "`val` chose the epoch. Where the data has no validation split of its own it was held out of train "
        "by compress, and a checkpoint that was trained elsewhere has seen it.",
    ]
