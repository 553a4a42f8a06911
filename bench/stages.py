"""Where the time of an exported detector goes, stage by stage, by ONNX Runtime's own profiler.

The profiler slows calls down a little and its sum is no latency: the shares are what counts.
"""

import ast
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Final

from bench.profile.runtimes import Sampling
from bench.profile.runtimes.onnxruntime import events, plain
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
    for event in events(path, feed, Sampling(threads=threads, calls=calls + 1)):
        spent_ms[stages.get(plain(event.name), OTHER)][event.call] += event.us / 1e3
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
