"""Predicted against measured latency at the chosen widths, and what table and plan take."""

import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Final

from bench.candidates import candidate
from bench.layers.here import here
from bench.layers.make import measured_table
from bench.layers.names import own_names
from bench.layers.price import Latency
from bench.studies.common.cells import say
from bench.studies.latency.cells import DETECTORS, Cell, Row, aim_at, cut_to, dense
from compressor.methods import method_of, prune
from compressor.rates import Budget, PruneRequest
from export.backends import BACKENDS

CLASSIFIERS: Final = ("resnet50", "resnet56_cifar", "mobilenet_v2", "googlenet", "densenet121")
SHARES: Final = (0.5, 0.7, 0.3)
HARD: Final = (0.5, 0.25)
"""Of whole detectors."""


def cells(threads: int) -> Iterator[Cell]:
    """Return the points on a number of threads, the most telling first."""
    for name in CLASSIFIERS:
        yield Cell("table", name, threads)
        for share in SHARES:
            yield Cell("reached", name, threads, share)
    for name in DETECTORS:
        for share in (*HARD, *((0.7, 0.3) if name == DETECTORS[0] else ())):
            yield Cell("reached", name, threads, share)


def reached(cell: Cell) -> Row:
    """Cut one model to one share, as the command does, with tables that were measured before if they were."""
    artifact = dense(cell.model)
    small, found, seconds = cut_to(artifact, aim_at(cell))
    return {
        "reached": asdict(found),
        "met": found.met,
        "macs_share": small.manifest.cost_after.macs / artifact.manifest.cost_after.macs,
        "seconds": round(seconds, 1),
    }


def table(cell: Cell) -> Row:
    """Measure a table from nothing, then plan by it: seconds of both."""
    artifact = dense(cell.model)
    with tempfile.TemporaryDirectory() as folder:
        room = Path(folder)
        backend = BACKENDS.get("onnxruntime")
        before = candidate("before", artifact, backend, room, threads=cell.threads, say=say)
        start = time.perf_counter()
        where = here("onnxruntime", threads=cell.threads, batch=1)
        made = measured_table(cell.model, before, where, own_names(artifact), say=say, cache=room)
        took = time.perf_counter() - start
        start = time.perf_counter()
        measured_table(cell.model, before, where, own_names(artifact), say=say, cache=room)
        again = time.perf_counter() - start
    start = time.perf_counter()
    request = PruneRequest(
        target=Budget("latency", fraction=0.5),
        scope="worth",
        round_to=where.block,
        measured=Latency(table=made),
    )
    prune(artifact, request, method_of("l1", {}, 0), words="a study")
    return {
        "table_s": round(took, 2),
        "cached_s": round(again, 2),
        "plan_s": round(time.perf_counter() - start, 2),
        "layers": len(made.entries),
        "points": sum(len(entry.grid.into) * len(entry.grid.out) for entry in made.entries),
    }
