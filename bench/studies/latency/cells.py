"""The points of the study, and what they share."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import torch

from bench.layers.aim import Aim, Reached
from bench.studies.common.cells import say
from compressor.artifact import Artifact
from compressor.chain.job import Job
from compressor.chain.memory import Memory
from compressor.chain.settings import PruneTable
from compressor.chain.stages import cut_of
from compressor.zoo import find

Row = dict[str, Any]

DETECTORS: Final = ("fasterrcnn_resnet50_fpn", "keypointrcnn_resnet50_fpn")
CANVAS: Final = ((3, 480, 640),)
SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Cell:
    """One point.

    Attributes:
        part: of the study.
        model: name of an architecture.
        threads: of ONNX Runtime.
        share: of the dense latency; 0 where the part has no target.
    """

    part: str
    model: str
    threads: int
    share: float = 0.0


def dense(name: str) -> Artifact:
    """Return a dense model with seeded random weights; detectors at 480x640."""
    torch.manual_seed(0)
    return Artifact.dense(find(name), shapes=CANVAS if name in DETECTORS else None)


def cut_to(artifact: Artifact, aim: Aim) -> tuple[Artifact, Reached, float]:
    """Return what ``compress prune --latency`` makes of a model, how near it came, and its seconds."""
    found: list[Reached] = []
    job = Job(
        open=lambda: artifact, store=Memory(), spec=None, device=torch.device("cpu"), say=say,
        reached=found.append,
    )  # fmt: skip
    parts = ("detector",) if artifact.manifest.arch in DETECTORS else ()
    start = time.perf_counter()
    cut = cut_of(PruneTable(latency=aim, parts=parts), 0)
    small = cut.rehearse(job, artifact)
    return small, found[0], time.perf_counter() - start


def aim_at(cell: Cell) -> Aim:
    """Return the latency that a cell asks for."""
    return Aim(share=cell.share, threads=cell.threads, seconds=SECONDS)


Part = Callable[[Cell], Row]
