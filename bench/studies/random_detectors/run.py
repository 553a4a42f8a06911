"""Can a detector with random weights be exported?

``python -m bench.studies.random_detectors.run [NAME ...]`` tries. That is the first thing that somebody
without a checkpoint tries, and the hardest for the comparison with PyTorch: scores lie so close together that
rounding alone moves detections across thresholds. All six families, dense and at half of their MACs, on both
usual canvases; a row says how many detections had no partner, what was allowed, and how far each stage
differs from PyTorch's on the same inputs. Rows that are there already are not made again.
"""

import argparse
import json
import time
from collections.abc import Iterator
from typing import Any, Final

import torch

from bench.environment import environment
from bench.studies.common.pruned import pruned
from bench.studies.common.results import results_of
from compressor.artifact import Artifact
from compressor.base.documents import write_json
from compressor.base.errors import CompressError
from compressor.base.files import scratch
from compressor.base.system import cpu_flags
from compressor.rates import Budget, PruneRequest
from compressor.zoo import find
from detection.zoo import NAMES
from export.deploy import deploy

RESULTS: Final = results_of("random_detectors")
CANVASES = ((480, 640), (800, 1344))
_HALF = PruneRequest(target=Budget("macs", fraction=0.5), round_to=16)


def main() -> None:
    """Make the rows that are missing and write them as they come."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=NAMES)
    parser.add_argument("--canvas", type=int, default=480, help="rows of the canvas: 480 or 800")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    document = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"rows": []}
    capability = torch.backends.cpu.get_cpu_capability()
    canvas = next(pair for pair in CANVASES if pair[0] == arguments.canvas)
    for name, form in _cases(arguments.names):
        key = {
            "model": name, "form": form, "canvas": list(canvas), "pytorch": capability,
            "onnxruntime": _kernels(),
        }  # fmt: skip
        if not any(key.items() <= row.items() for row in document["rows"]):
            row = {**key, **measured(name, form, canvas, arguments.threads)}
            document = {"rows": [*document["rows"], row], "environment": environment()}
            write_json(RESULTS, document)
            print(row, flush=True)


def _kernels() -> str:
    """Return which of its kernels ONNX Runtime takes: those of the processor, whatever PyTorch is held to."""
    return "AVX512" if "avx512f" in cpu_flags() else "AVX2"


def _cases(names: list[str]) -> Iterator[tuple[str, str]]:
    for name in names:
        yield from ((name, "dense"), (name, "half"))


def measured(name: str, form: str, canvas: tuple[int, int], threads: int) -> dict[str, Any]:
    """Export one detector and return what the comparison with PyTorch saw, or why it was refused."""
    from export.deploy import DeploySettings

    torch.manual_seed(0)
    arch = find(name).with_options(shapes=((3, *canvas),))
    model = arch.build()
    if form == "half":
        model = pruned(arch, model, _HALF)
    started = time.monotonic()
    with scratch() as folder:
        try:
            artifact = Artifact.of(model, arch)
            parity = deploy(artifact, folder / "d.onnx", DeploySettings(threads=threads)).parity
        except CompressError as error:
            return {"refused": error.message}
    worst = {
        output: max(case.relative_difference for case in parity.cases if case.output == output)
        for output in dict.fromkeys(case.output for case in parity.cases)
    }
    return {
        "detections": parity.detections, "unmatched": parity.max_relative_difference,
        "allowed": parity.limit, "worst": worst, "seconds": round(time.monotonic() - started),
    }  # fmt: skip


if __name__ == "__main__":
    main()
