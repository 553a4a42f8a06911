"""ResNet-50 in fp32 and int8, dense and pruned, on the CPU: ``python -m bench.studies.int8_speed.run``.

Pruned by a published string with widths in multiples of 16, quantised for CPUs (uint8 activations, int8
weights per channel), in ONNX Runtime and OpenVINO. Weights and calibration images are random: speed does not
depend on them.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from bench.candidates import Candidate
from bench.document import report_to_json
from bench.environment import environment
from bench.measure import MeasureSettings
from bench.run import bench
from bench.studies.common.pruned import pruned
from bench.studies.common.published import STRINGS
from bench.studies.common.results import results_of
from compressor.base.files import file_digest
from compressor.rates import PruneRequest, Published
from compressor.tasks.examples import example_arrays
from compressor.zoo import find
from compressor.zoo.inputs import InputSpec
from export.backends import BACKENDS, SessionOptions
from export.precision import to_int8
from export.to_onnx import export_onnx

RESULTS: Final = results_of("int8_speed")
SPECS: Final = {
    "dense": None,
    "pruned A": PruneRequest(target=Published(STRINGS["A"], "coring"), round_to=16),
    "pruned B": PruneRequest(target=Published(STRINGS["B"], "coring"), round_to=16),
}
RUNTIMES: Final = ("onnxruntime", "openvino")


def main() -> None:
    """Make all files, measure them together per runtime, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=6.0, help="timed seconds per file and batch")
    budget_s = parser.parse_args().seconds
    found, facts = [], environment()
    with tempfile.TemporaryDirectory() as folder:
        candidates = [c for name, spec in SPECS.items() for c in _files(name, spec, Path(folder))]
        for runtime in RUNTIMES:
            if BACKENDS.get(runtime).missing("cpu") is None:
                found += _measured(runtime, candidates, budget_s)
    sets = facts.get("instruction_sets", "")
    note = f"Instruction sets of this CPU: {sets or 'unknown'}; A = `{STRINGS['A']}`, B = `{STRINGS['B']}`."
    document = {"note": note, "rows": found, "environment": facts}
    RESULTS.write_text(json.dumps(document, indent=1) + "\n")


def _files(name: str, spec: PruneRequest | None, folder: Path) -> list[Candidate]:
    """Return a network in fp32 and in int8."""
    torch.manual_seed(0)
    arch = find("resnet50")
    model = arch.build()
    if spec is not None:
        model = pruned(arch, model, spec)
    plain, small = folder / f"{name}.onnx", folder / f"{name}.int8.onnx"
    export_onnx(model, arch.input, plain, metadata={})
    to_int8(plain, small, [_images(arch.input, case) for case in range(2)])
    return [
        Candidate(
            name=f"{name}, {kind}", source=path, inputs=arch.input, digest=file_digest(path), precision=kind
        )
        for kind, path in (("fp32", plain), ("int8", small))
    ]


def _images(inputs: InputSpec, case: int) -> tuple[NDArray[np.float32], ...]:
    return tuple(array.astype(np.float32) for array in example_arrays(inputs, 8, seed=(0, case)))


def _measured(runtime: str, candidates: list[Candidate], budget_s: float) -> list[dict[str, Any]]:
    report = bench(
        candidates, backend=runtime, options=SessionOptions(threads=2), batches=(1, 8),
        settings=MeasureSettings(budget_s=budget_s),
    )  # fmt: skip
    rows: list[dict[str, Any]] = []
    for result in report_to_json(report)["results"]:
        kept = {key: result[key] for key in ("model", "batch", "p50_ms", "speedup", "samples_ms")}
        rows.append({"backend": runtime, **kept})
        print(runtime, result["model"], result["batch"], f"{result['p50_ms']:.1f} ms", flush=True)
    return rows


if __name__ == "__main__":
    main()
