"""Where the time of an exported detector goes, stage by stage, by ONNX Runtime's own profiler.

The profiler slows calls down a little and its sum is no latency: the shares are what counts.
"""

import ast
import json
import tempfile
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Final

import onnxruntime

from export.backends import Array
from export.onnx_reader import read_onnx

STAGES: Final = (
    ("backbone.body", "backbone"),
    ("backbone.fpn", "FPN"),
    ("rpn.head", "RPN head"),
    ("rpn", "proposals and NMS"),
    ("layout", "RoIAlign"),
    ("boxes.pool", "RoIAlign"),
    ("masks.pool", "RoIAlign"),
    ("keypoints.pool", "RoIAlign"),
    ("boxes.head", "box head"),
    ("boxes.predictor", "box head"),
    ("boxes", "detections and NMS"),
    ("masks", "mask head"),
    ("keypoints", "keypoint head"),
)
"""Module path -> stage; the longest path that fits decides."""

OTHER: Final = "other"
_SCOPES = "pkg.torch.onnx.name_scopes"


def stage_times(path: Path, feed: Mapping[str, Array], *, threads: int, calls: int = 5) -> dict[str, float]:
    """Return milliseconds per call by stage, in the order of `STAGES`; what cannot be placed is ``other``.

    Every stage has the median of its calls, so that one disturbed call changes nothing.

    Args:
        path: an ONNX file of the static detector graph.
        feed: the input.
        threads: of ONNX Runtime.
        calls: profiled, after one that is not counted.
    """
    stages = _stage_of_outputs(path)
    order = [*dict.fromkeys(stage for _, stage in STAGES), OTHER]
    spent_ms = {stage: [0.0] * (calls + 1) for stage in order}
    for call, name, duration_us in _profile(path, feed, threads, calls + 1):
        spent_ms[stages.get(_plain(name), OTHER)][call] += duration_us / 1e3
    return {stage: median(times[1:]) for stage, times in spent_ms.items() if any(times)}


def stage_of(scopes: Sequence[str]) -> str:
    """Return the stage of a node from the paths of the modules around it, outermost first."""
    for scope in reversed(scopes):
        for path, stage in sorted(STAGES, reverse=True):
            if scope == path or scope.startswith(f"{path}."):
                return stage
    return OTHER


def _stage_of_outputs(path: Path) -> dict[str, str]:
    """Return node name, and output name, -> stage; the optimiser renames nodes after their outputs."""
    found: dict[str, str] = {}
    for node in read_onnx(path).graph.node:
        scopes = next((entry.value for entry in node.metadata_props if entry.key == _SCOPES), "[]")
        stage = stage_of(ast.literal_eval(scopes))
        found |= dict.fromkeys((node.name, *node.output), stage)
    return found


def _plain(name: str) -> str:
    """Return the name that a node had before the optimiser fused it or changed its layout."""
    return name.removeprefix("fused ").removesuffix("_nchwc")


def _profile(
    path: Path, feed: Mapping[str, Array], threads: int, calls: int
) -> Iterator[tuple[int, str, float]]:
    """Yield (number of the call, node name, microseconds) of every kernel that ran."""
    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.enable_profiling = True
        options.intra_op_num_threads = threads
        options.profile_file_prefix = str(Path(folder) / "profile")
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        for _ in range(calls):
            session.run(None, dict(feed))
        events = json.loads(Path(session.end_profiling()).read_text())
    starts = sorted(event["ts"] for event in events if event["name"] == "model_run")
    for event in events:
        if event["name"].endswith("_kernel_time"):
            call = bisect_right(starts, event["ts"]) - 1
            yield call, event["name"].removesuffix("_kernel_time"), event["dur"]
