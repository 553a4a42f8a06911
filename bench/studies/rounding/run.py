"""What rounding widths does to speed: ``python -m bench.studies.rounding.run``.

ResNet-50 at 224x224 in ONNX Runtime on two threads, pruned by two published rate strings, without rounding
and with widths in multiples of 8 and 16. Fewer MACs alone do not give the speed-up that their number
promises; aligned widths nearly do. Weights are random: speed does not depend on them.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Final

import torch

from bench.candidates import Candidate
from bench.document import report_to_json
from bench.measure import MeasureSettings
from bench.run import bench
from bench.studies.common.pruned import pruned
from bench.studies.common.published import STRINGS
from bench.studies.common.results import results_of
from compressor.artifact import Artifact
from compressor.rates import PruneRequest, Published
from compressor.zoo import find
from export.backends import SessionOptions
from export.metadata import metadata_of
from export.to_onnx import export_onnx

RESULTS: Final = results_of("rounding")
ROUNDINGS = (1, 8, 16)


def main() -> None:
    """Export all seven networks, measure them together, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=12.0, help="timed seconds per network and batch")
    budget_s = parser.parse_args().seconds
    requests: list[tuple[str, PruneRequest | None]] = [("dense", None)]
    for name, rates in STRINGS.items():
        for step in ROUNDINGS:
            spec = PruneRequest(target=Published(rates, "coring"), round_to=step)
            requests.append((f"{name}, multiples of {step}", spec))
    with tempfile.TemporaryDirectory() as folder:
        made = [_exported(name, spec, Path(folder)) for name, spec in requests]
        report = bench(
            [candidate for candidate, _ in made],
            backend="onnxruntime",
            options=SessionOptions(threads=2),
            batches=(1, 8),
            settings=MeasureSettings(budget_s=budget_s),
            progress=lambda what, done, total: print(f"\r{what} {done}/{total}   ", end="", flush=True),
        )
    macs = {candidate.name: count for candidate, count in made}
    measured = report_to_json(report)
    document = {"rates": STRINGS, "macs": macs, "rows": _rows(measured, macs), "report": measured}
    RESULTS.write_text(json.dumps(document, indent=1) + "\n")


def _exported(name: str, spec: PruneRequest | None, folder: Path) -> tuple[Candidate, int]:
    torch.manual_seed(0)
    arch = find("resnet50")
    model = arch.build()
    if spec is not None:
        model = pruned(arch, model, spec)
    artifact = Artifact.of(model, arch)
    cost, metadata = artifact.manifest.cost_after, metadata_of(artifact, arch.input)
    file = export_onnx(model, arch.input, folder / f"{name}.onnx", metadata=metadata)
    print(f"{name}: {cost.macs / 1e9:.3f} GMACs, {file.bytes / 1e6:.1f} MB", flush=True)
    return Candidate(name=name, source=file.path, inputs=arch.input, digest=file.sha256), cost.macs


def _rows(report: dict[str, object], macs: dict[str, int]) -> list[dict[str, object]]:
    """Return per network and batch: MACs reduction, speed-up with interval, and the share that arrives."""
    rows = []
    results: list[dict[str, dict[str, float]]] = report["results"]  # type: ignore[assignment]
    for result in results:
        name = str(result["model"])
        fewer = macs["dense"] / macs[name]
        speedup = result["speedup"]
        rows.append(
            {
                "model": name, "batch": result["batch"], "p50_ms": result["p50_ms"],
                "macs_reduction": fewer, "speedup": speedup,
                "speedup_over_macs_reduction": speedup["value"] / fewer if speedup else None,
            }
        )  # fmt: skip
    return rows


if __name__ == "__main__":
    main()
