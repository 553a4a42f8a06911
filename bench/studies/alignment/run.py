"""What padding pruned widths costs and gains: ``python -m bench.studies.alignment.run``.

ResNet-50 pruned by two published rate strings, DenseNet-121 with a third of every group gone and Faster R-CNN
with the published rates in its backbone, each as it is and padded to multiples of 8 and 16, in ONNX Runtime
on two threads. The padded files compute the same, which is checked, with more multiply-adds. Weights are
random: speed does not depend on them.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import nn
from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN

from bench.candidates import Candidate
from bench.document import report_to_json
from bench.measure import MeasureSettings
from bench.run import bench
from bench.studies.common.detectors import FASTER, SIZES, backbone
from bench.studies.common.lively import enlivened, structured_images
from bench.studies.common.pruned import pruned
from bench.studies.common.published import STRINGS
from bench.studies.common.results import results_of
from compressor.rates import PruneRequest, Published, Share
from compressor.steps.align import AlignReport, pad_to_multiple
from compressor.tasks.parity import ParityReport, compare
from compressor.zoo import Architecture, find
from detection.parity.rows import MATCH_LIMITS, compare_detections_on
from detection.task import detects
from export.backends import BACKENDS, Array, SessionOptions
from export.to_onnx import export_onnx

RESULTS: Final = results_of("alignment")
SUBJECTS = {
    "resnet50 A": ("resnet50", PruneRequest(target=Published(STRINGS["A"], "coring"))),
    "resnet50 B": ("resnet50", PruneRequest(target=Published(STRINGS["B"], "coring"))),
    "densenet121": ("densenet121", PruneRequest(target=Share(1 / 3))),
    FASTER: (FASTER, backbone(1)),
}
CANVAS = SIZES["480x640"]
SAME = 1e-5
"""Largest relative difference of outputs between a padded file and the unpadded one."""

MULTIPLES = {"padded to 8": 8, "padded to 16": 16}

Row = dict[str, object]


def main() -> None:
    """Measure every subject against its padded forms; the results are written after each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=12.0, help="timed seconds per network and batch")
    parser.add_argument("--only", choices=SUBJECTS, help="measure one and keep the others' results")
    chosen = parser.parse_args()
    rows: list[Row] = json.loads(RESULTS.read_text())["rows"] if RESULTS.exists() else []
    for name in [chosen.only] if chosen.only else SUBJECTS:
        rows = [row for row in rows if row["subject"] != name] + measured(name, chosen.seconds)
        RESULTS.write_text(json.dumps({"rates": STRINGS, "rows": rows}, indent=1) + "\n")


def measured(name: str, budget_s: float) -> list[Row]:
    """Measure one subject as it is and padded, interleaved."""
    model, arch = _pruned(name)
    reports: dict[str, AlignReport] = {}
    apart: dict[str, ParityReport] = {}
    with tempfile.TemporaryDirectory() as folder:
        candidates = [_exported("as pruned", model, arch, Path(folder))]
        for stem, multiple in MULTIPLES.items():
            padded, reports[stem] = pad_to_multiple(model, arch.example(), multiple, view=arch.view)
            candidates.append(_exported(stem, padded, arch, Path(folder)))
            apart[stem] = _compared(candidates[0], candidates[-1], arch)
        report = bench(
            candidates, backend="onnxruntime", options=SessionOptions(threads=2),
            batches=(1,) if detects(arch.task) else (1, 8), settings=MeasureSettings(budget_s=budget_s),
        )  # fmt: skip
    document = report_to_json(report)
    rows = [_row(name, result, reports, apart) for result in document["results"]]
    return [*rows, {"subject": name, "report": document}]


def _pruned(name: str) -> tuple[nn.Module, Architecture]:
    torch.manual_seed(0)
    arch_name, spec = SUBJECTS[name]
    arch = find(arch_name)
    if detects(arch.task):
        arch = arch.with_options(shapes=(CANVAS,))
    model = arch.build()
    small = pruned(arch, model, spec)
    return (enlivened(small) if isinstance(small, GeneralizedRCNN) else small), arch


def _exported(name: str, model: nn.Module, arch: Architecture, folder: Path) -> Candidate:
    module, inputs = arch.deployed(model, arch.input)
    file = export_onnx(module, inputs, folder / f"{name}.onnx", metadata={})
    return Candidate(name=name, source=file.path, inputs=inputs, digest=file.sha256)


def _compared(plain: Candidate, padded: Candidate, arch: Architecture) -> ParityReport:
    """Return how far the outputs of two files are apart, or stop the benchmark."""
    backend, options = BACKENDS.get("onnxruntime"), SessionOptions(threads=2)
    with plain.opened(backend, options) as expected, padded.opened(backend, options) as found:
        if detects(arch.task):
            return compare_detections_on(expected, found, _canvases(), limit=MATCH_LIMITS["fp32"])
        return compare(expected, found, plain.inputs, limit=SAME)


def _canvases() -> Iterator[Sequence[Array]]:
    """Yield images; on noise, random weights are so sensitive that fp32 is no closer to fp64 than padded."""
    for image in structured_images(5, *CANVAS[1:]):
        yield image[None].numpy(), np.array([CANVAS[1:]], dtype=np.float32)


def _row(
    subject: str, result: dict[str, object], reports: dict[str, AlignReport], apart: dict[str, ParityReport]
) -> Row:
    align = reports.get(str(result["model"]))
    row: Row = {
        "subject": subject, "model": result["model"], "batch": result["batch"], "p50_ms": result["p50_ms"],
        "speedup": result["speedup"],
    }  # fmt: skip
    if align is not None:
        row["difference"] = apart[str(result["model"])].max_relative_difference
        row["macs_growth"] = align.macs_after / align.macs_before - 1
        row["groups_padded"], row["groups_left"] = len(align.padded), len(align.left)
        row["multiple"], row["left"] = align.multiple, [asdict(group) for group in align.left]
    print({key: value for key, value in row.items() if key != "left"}, flush=True)
    return row


if __name__ == "__main__":
    main()
