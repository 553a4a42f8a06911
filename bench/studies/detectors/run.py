"""Detectors, pruned in several ways, on two CPU threads of ONNX Runtime.

``python -m bench.studies.detectors.run`` measures. Faster R-CNN: the backbone at the published rate, with and
without aligned widths; the whole detector at the same total of MACs. All three detectors: half and a quarter
of the MACs, and half with more of it taken from the feature pyramid, whose width RoIAlign's time follows.
Then what the numbers of proposals and detections do, and which stage takes the time. Weights are random: all
shapes are static, so the time does not depend on them, as long as activations do not vanish: CPUs are slow on
denormal numbers.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import torch
from torch import nn

from bench.candidates import Candidate
from bench.document import report_to_json
from bench.environment import environment
from bench.measure import MeasureSettings
from bench.run import bench
from bench.stages import stage_times
from bench.studies.common.detectors import FASTER, SIZES, backbone
from bench.studies.common.lively import enlivened
from bench.studies.common.results import results_of
from compressor.artifact import Artifact
from compressor.base.documents import digest, encode
from compressor.base.files import file_digest
from compressor.channels.cost import measure
from compressor.criteria import CRITERIA
from compressor.methods.ranking import make_plan
from compressor.rates import Budget, PruneRequest
from compressor.steps.plan import PrunePlan, plan_from_json, plan_to_json
from compressor.steps.shrink import shrink
from compressor.tasks.examples import example_arrays
from compressor.zoo import Architecture, find
from export.backends import SessionOptions
from export.metadata import metadata_of, read_input
from export.model_io import input_names
from export.to_onnx import export_onnx

RESULTS: Final = results_of("detectors")
MASK, KEYPOINT = "maskrcnn_resnet50_fpn", "keypointrcnn_resnet50_fpn"
WOKEN_AT: Final = (3, 128, 160)
"""Size at which random weights are made lively; those of the tables would take minutes."""

THREADS: Final = 2
NARROW_PYRAMID: Final = (("backbone.fpn", 0.5),)
FEW_PROPOSALS: Final = {"rpn_post_nms_top_n_test": 300}


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One detector to measure.

    Attributes:
        name: in the tables.
        arch: architecture.
        spec: what is removed; None for nothing.
        levers: numbers of boxes, as constructor arguments.
    """

    name: str
    arch: str
    spec: PruneRequest | None = None
    levers: dict[str, int] = field(default_factory=dict)


def whole(share: float) -> PruneRequest:
    """Return a request for the whole detector at a share of its MACs, widths in multiples of 16."""
    return PruneRequest(target=Budget("macs", fraction=share), round_to=16)


def variants(same_share: Mapping[str, float]) -> dict[str, list[Variant]]:
    """Return what is measured together, by table; ``same_share``: what the published rate leaves, by size."""
    dense = Variant(name="dense", arch=FASTER)
    half = Variant(name="whole, half of the MACs", arch=FASTER, spec=whole(0.5))
    narrow = Variant(
        name="half of the MACs, FPN at half of its width",
        arch=FASTER,
        spec=replace(whole(0.5), own_rates=NARROW_PYRAMID),
    )
    quarter = Variant(name="whole, a quarter of the MACs", arch=FASTER, spec=whole(0.25))
    tables = {
        f"{FASTER} {size}": [
            dense,
            Variant(name="backbone, published rate", arch=FASTER, spec=backbone(1)),
            Variant(name="backbone, in multiples of 16", arch=FASTER, spec=backbone(16)),
            Variant(name="whole, same MACs as published", arch=FASTER, spec=whole(same_share[size])),
            half,
            narrow,
            quarter,
        ]
        for size in SIZES
    }
    tables[f"{FASTER} 480x640, fewer proposals"] = [
        dense,
        replace(dense, name="dense, 300 proposals", levers=FEW_PROPOSALS),
        replace(half, name="half of the MACs, 300 proposals", levers=FEW_PROPOSALS),
    ]
    for arch in (MASK, KEYPOINT):
        few = replace(half, name="half of the MACs, 20 detections", levers={"box_detections_per_img": 20})
        members = [replace(variant, arch=arch) for variant in (dense, half, narrow, quarter, few)]
        tables |= {f"{arch} {size}": members for size in SIZES}
    return tables


def main() -> None:
    """Plan and export, then measure and profile; every table is written as soon as it is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("runs/detectors"), help="exported files, kept")
    parser.add_argument("--only", nargs="+", default=[""], help="tables whose name contains one of these")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    shares = {size: _published_share(shape, arguments.work) for size, shape in SIZES.items()}
    asked = variants(shares)
    chosen = {t: members for t, members in asked.items() if any(words in t for words in arguments.only)}
    made = {title: _made(title, members, arguments.work) for title, members in chosen.items()}
    document = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    document |= {"published_share_of_macs": shares, "environment": environment()}
    tables = document.get("tables", {})
    for title, files in made.items():
        print(title, flush=True)
        tables[title] = _table(files)
        document["tables"] = {title: tables[title] for title in asked if title in tables}
        RESULTS.write_text(json.dumps(document, indent=1) + "\n")


def _published_share(shape: tuple[int, ...], work: Path) -> float:
    published = Variant(name="published", arch=FASTER, spec=backbone(1))
    arch, dense = _architecture(published, shape), _dense(published)
    inputs = arch.example()
    small = shrink(dense, planned(published, shape, work))
    return measure(arch.view(small), inputs).macs / measure(arch.view(dense), inputs).macs


def _architecture(variant: Variant, shape: tuple[int, ...]) -> Architecture:
    return find(variant.arch).with_options(variant.levers, (shape,))


def _dense(variant: Variant) -> nn.Module:
    torch.manual_seed(0)
    return _architecture(variant, WOKEN_AT).build()


def planned(variant: Variant, shape: tuple[int, ...], work: Path) -> PrunePlan:
    """Return what a variant removes, as planned for this canvas and the usual numbers of boxes, and kept."""
    if variant.spec is None:
        return PrunePlan(arch=variant.arch, steps=())
    key = digest({"arch": variant.arch, "spec": encode(variant.spec), "shape": shape})
    kept = work / f"{key[:16]}.plan.json"
    if not kept.exists():
        usual = replace(variant, levers={})
        model, arch = enlivened(_dense(usual)), _architecture(usual, shape)
        plan = make_plan(model, arch, variant.spec, CRITERIA.get("l1")()).plan
        kept.write_text(json.dumps(plan_to_json(plan)))
    return plan_from_json(json.loads(kept.read_text()), str(kept))


def _made(title: str, members: Sequence[Variant], work: Path) -> list[tuple[Candidate, int]]:
    """Export a table's variants; all tables' files are made before the first is measured, in a quiet room."""
    shape = next(shape for size, shape in SIZES.items() if size in title)
    return [_exported(variant, shape, work) for variant in members]


def _table(made: Sequence[tuple[Candidate, int]]) -> dict[str, object]:
    report = bench(
        [candidate for candidate, _ in made],
        backend="onnxruntime",
        options=SessionOptions(threads=THREADS),
        batches=(1,),
        settings=MeasureSettings(min_blocks=12, min_runs=1, good_runs=1, discarded_runs=1, window=1),
        progress=lambda what, done, total: print(f"\r{what} {done}/{total}   ", end="", flush=True),
    )
    macs = {candidate.name: count for candidate, count in made}
    dense, *_ = macs.values()
    stages = {candidate.name: _stages(candidate) for candidate, _ in made}
    rows = [
        {"model": name, "gmacs": count / 1e9, "macs_reduction": dense / count} for name, count in macs.items()
    ]
    return {"rows": rows, "stages_ms": stages, "report": report_to_json(report)}


def _exported(variant: Variant, shape: tuple[int, ...], work: Path) -> tuple[Candidate, int]:
    """Return an exported variant and its MACs at this canvas."""
    words = f"{variant.arch} {variant.name} {shape[1]}x{shape[2]}"
    path = work / f"{words.replace(' ', '_').replace(',', '')}.onnx"
    arch, plan = _architecture(variant, shape), planned(variant, shape, work)
    model = shrink(_dense(variant), plan)
    cost = measure(arch.view(model), arch.example())
    if not path.exists():
        _export(Artifact.of(enlivened(model), arch), path)
    print(f"{words}: {cost.macs / 1e9:.1f} GMACs", flush=True)
    sha256 = file_digest(path)
    return Candidate(name=variant.name, source=path, inputs=read_input(path), digest=sha256), cost.macs


def _export(artifact: Artifact, path: Path) -> None:
    module, inputs = artifact.deployed()
    export_onnx(module, inputs, path, metadata=metadata_of(artifact, inputs))


def _stages(candidate: Candidate) -> dict[str, float]:
    names, arrays = input_names(candidate.inputs), example_arrays(candidate.inputs, 1, seed=(0,))
    assert isinstance(candidate.source, Path)
    return stage_times(candidate.source, dict(zip(names, arrays, strict=True)), threads=THREADS)


if __name__ == "__main__":
    main()
