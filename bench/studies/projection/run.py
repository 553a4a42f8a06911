"""What a projection is worth: ``python -m bench.studies.projection.run``.

ResNet-50 at 224x224, dense and pruned by two published rate strings, as they are and with widths in multiples
of 8, in ONNX Runtime on one and on two threads: measured, interleaved, and projected from two ceilings that a
few convolutions were measured for on the same threads. A roofline knows nothing of a kernel's blocks, so that
the aligned widths tell how far it carries by itself. Weights are random: speed does not depend on them.
"""

import argparse
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import torch

from bench.candidates import Candidate
from bench.document import report_to_json
from bench.measure import MeasureSettings
from bench.projection.devices import DEVICES
from bench.projection.layers import Layer, layers_of
from bench.projection.roofline import Ceilings, project
from bench.run import bench
from bench.studies.common.pruned import pruned
from bench.studies.common.published import STRINGS
from bench.studies.common.results import results_of
from compressor.rates import PruneRequest, Published
from compressor.zoo import find
from export.backends import SessionOptions
from export.to_onnx import export_onnx

Row = dict[str, Any]
Layers = Sequence[Layer]

RESULTS: Final = results_of("projection")
DENSE: Final = "dense"
BATCH: Final = 1


def main() -> None:
    """Export all networks, measure and project them on each number of threads, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=12.0, help="timed seconds per network")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="of ONNX Runtime")
    parser.add_argument("--output", type=Path, default=RESULTS, help="where the results go")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        made = [_exported(name, request, Path(folder)) for name, request in _requests().items()]
        candidates = [candidate for candidate, _ in made]
        layers = {candidate.name: found for candidate, found in made}
        parts = [_compared(candidates, layers, threads, chosen.seconds) for threads in chosen.threads]
    document = {"rates": STRINGS, "parts": parts}
    chosen.output.write_text(json.dumps(document, indent=1) + "\n")


def _requests() -> dict[str, PruneRequest | None]:
    requests: dict[str, PruneRequest | None] = {DENSE: None}
    for name, rates in STRINGS.items():
        requests[name] = PruneRequest(target=Published(rates, "coring"))
        requests[f"{name}, multiples of 8"] = PruneRequest(target=Published(rates, "coring"), round_to=8)
    return requests


def _exported(name: str, request: PruneRequest | None, folder: Path) -> tuple[Candidate, Layers]:
    torch.manual_seed(0)
    arch = find("resnet50")
    model = arch.build()
    if request is not None:
        model = pruned(arch, model, request)
    file = export_onnx(model, arch.input, folder / f"{name}.onnx", metadata={})
    print(f"{name}: exported", flush=True)
    candidate = Candidate(name=name, source=file.path, inputs=arch.input, digest=file.sha256)
    return candidate, layers_of(model, arch.example())


def _compared(
    candidates: Sequence[Candidate], layers: Mapping[str, Layers], threads: int, budget_s: float
) -> Row:
    """Return ceilings, projections and measurements on a number of threads."""
    (ceilings,) = DEVICES.get("here").ceilings(threads)
    print(f"{threads} threads: {ceilings}", flush=True)
    report = bench(
        candidates, backend="onnxruntime", options=SessionOptions(threads=threads), batches=(BATCH,),
        settings=MeasureSettings(budget_s=budget_s),
        progress=lambda what, done, total: print(f"\r{what} {done}/{total}   ", end="", flush=True),
    )  # fmt: skip
    measured = report_to_json(report)
    rows = rows_of(measured["results"], layers, ceilings)
    return {"threads": threads, "ceilings": asdict(ceilings), "rows": rows, "report": measured}


def rows_of(results: Sequence[Row], layers: Mapping[str, Layers], ceilings: Ceilings) -> list[Row]:
    """Return for each network what was measured and projected, and by how much the projection is off.

    Args:
        results: of a benchmark's document, the dense network first.
        layers: of each network.
        ceilings: of the machine, on the threads of the benchmark.
    """
    dense = project(layers[DENSE], ceilings, BATCH).middle_ms
    macs = {name: sum(layer.macs for layer in found) for name, found in layers.items()}
    rows = []
    for result in results:
        name, projected = result["model"], project(layers[result["model"]], ceilings, BATCH)
        row: Row = {
            "model": name,
            "macs_reduction": macs[DENSE] / macs[name],
            "p50_ms": result["p50_ms"],
            "projected_ms": {**asdict(projected.range_ms), "middle": projected.middle_ms},
            "error": projected.middle_ms / result["p50_ms"] - 1,
            "speedup": result["speedup"],
        }
        if result["speedup"]:
            measured = result["speedup"]["value"]
            row["projected_speedup"] = dense / projected.middle_ms
            row["speedup_error"] = dense / projected.middle_ms / measured - 1
            row["macs_error"] = row["macs_reduction"] / measured - 1
        rows.append(row)
    return rows


if __name__ == "__main__":
    main()
