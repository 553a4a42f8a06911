"""Whether `compress profile` predicts what --round-to gives: ``python -m bench.studies.profile.run``.

ResNet-50 at 224x224 pruned by a published rate string, profiled in ONNX Runtime: what is the first cause, and
what does it predict? Then the same network pruned with ``--round-to`` is measured against it, interleaved,
and profiled itself. And the stages of a dense Faster R-CNN. Weights are random, which does not change speed.
"""

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import torch

from bench.candidates import Candidate, file_candidate
from bench.environment import environment
from bench.measure import MeasureSettings
from bench.profile.alignment import block_of
from bench.profile.pairs import by_stage
from bench.profile.run import Profile, ProfileSettings, profiles_of
from bench.run import bench
from bench.statistics import percentiles
from bench.studies.common.detectors import FASTER, SIZES
from bench.studies.common.pruned import pruned
from bench.studies.common.published import STRINGS
from bench.studies.common.results import results_of
from compressor.artifact import Artifact
from compressor.base.documents import write_json
from compressor.rates import PruneRequest, Published
from compressor.zoo import Architecture, find
from export.backends import BACKENDS, SessionOptions
from export.metadata import metadata_of
from export.to_onnx import export_onnx

RESULTS: Final = results_of("profile")
BACKEND: Final = "onnxruntime"

Row = dict[str, Any]


def main() -> None:
    """Export, profile, measure, and write the results after each number of threads."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=12.0, help="timed seconds per network")
    parser.add_argument("--repeats", type=int, default=5, help="predictions, each with its measurement")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--no-detector", action="store_true", help="leave out Faster R-CNN")
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    step = block_of()
    document: Row = {"rates": STRINGS["A"], "round_to": step, "rows": [], "environment": environment()}
    with tempfile.TemporaryDirectory() as folder:
        pair = [_resnet(rounded, Path(folder)) for rounded in (1, step)]
        for threads in chosen.threads:
            for repeat in range(chosen.repeats):
                document["rows"].append({"repeat": repeat, **_row(pair, threads, chosen.seconds, repeat)})
                write_json(chosen.output, document)
        if not chosen.no_detector:
            document["stages"] = _stages(Path(folder), chosen.threads[-1])
            write_json(chosen.output, document)


def _resnet(round_to: int, folder: Path) -> Candidate:
    torch.manual_seed(0)
    arch = find("resnet50")
    request = PruneRequest(target=Published(STRINGS["A"], "coring"), round_to=round_to)
    small = Artifact.of(pruned(arch, arch.build(), request), arch)
    return _exported(small, arch, folder / f"multiples-of-{round_to}.onnx")


def _exported(artifact: Artifact, arch: Architecture, path: Path) -> Candidate:
    module, inputs = arch.deployed(artifact.module, arch.input)
    export_onnx(module, inputs, path, metadata=metadata_of(artifact, inputs))
    return file_candidate(path, BACKENDS.get(BACKEND))


def _row(pair: Sequence[Candidate], threads: int, seconds: float, seed: int) -> Row:
    """Predict from the first network alone; then measure both."""
    settings = ProfileSettings(backend=BACKEND, threads=threads, seconds=seconds / 2, seed=seed)
    plain, rounded = profiles_of(pair, settings, _say)
    report = bench(
        pair, backend=BACKEND, options=SessionOptions(threads=threads), batches=(1,),
        settings=MeasureSettings(budget_s=seconds), seed=seed,
    )  # fmt: skip
    speedup = report.comparisons[0].speedup
    saved_ms = plain.lints[0].ms or 0.0
    row: Row = {
        "threads": threads,
        "first_cause": plain.lints[0].kind,
        "what": plain.lints[0].what,
        "nodes_ms": [plain.total_ms, rounded.total_ms],
        "predicted_nodes_ms": plain.total_ms - saved_ms,
        "predicted_speedup": plain.total_ms / (plain.total_ms - saved_ms),
        "measured_speedup": asdict(speedup),
        "p50_ms": [percentiles(result.samples_ms).p50_ms for result in report.results],
        "reorders": [plain.reorders, rounded.reorders],
    }
    row["speedup_error"] = row["predicted_speedup"] / speedup.value - 1
    row["nodes_error"] = row["predicted_nodes_ms"] / rounded.total_ms - 1
    _say(str({key: value for key, value in row.items() if key != "what"}))
    return row


def _stages(folder: Path, threads: int) -> Row:
    """Return the stages of a dense detector by their time."""
    torch.manual_seed(0)
    arch = find(FASTER).with_options(shapes=(SIZES["480x640"],))
    found = _exported(Artifact.of(arch.build(), arch), arch, folder / "detector.onnx")
    settings = ProfileSettings(backend=BACKEND, threads=threads)
    detector: Profile = profiles_of([found], settings, _say)[0]
    stages = by_stage(detector.nodes)
    _say(str(stages))
    return {"model": FASTER, "shape": SIZES["480x640"], "threads": threads, "stages_ms": stages}


def _say(words: str) -> None:
    print(words, flush=True)


if __name__ == "__main__":
    main()
