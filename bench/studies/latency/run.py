"""Widths by measured latency: ``python -m bench.studies.latency.run``.

Part ``reached``: models are cut to shares of their dense latency in ONNX Runtime, each network so made is
measured beside the dense one, and what the table predicted stands beside it. Part ``table``: seconds that a
table takes from nothing, and a plan by it. Part ``speed``: ResNet-50 at the multiply-adds of two published
rows, by several ways to spread them, measured in one interleaved run.

Weights are random: speed does not depend on them. Every finished cell is written at once, and a study that is
started again goes on with the first one missing.
"""

import argparse
from collections.abc import Iterator
from typing import Final

from bench.environment import environment
from bench.studies.common.cells import Kept
from bench.studies.common.results import results_of
from bench.studies.latency import reached, speed
from bench.studies.latency.cells import Cell, Part

RESULTS: Final = results_of("latency")
SCHEMA_VERSION: Final = 1
PARTS: Final[dict[str, Part]] = {"reached": reached.reached, "table": reached.table, "speed": speed.speed}


def cells(threads: int) -> Iterator[Cell]:
    """Return all points on a number of threads."""
    yield from speed.cells(threads)
    yield from reached.cells(threads)


def main() -> None:
    """Run what is not finished."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="of ONNX Runtime")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--models", nargs="+", help="only these")
    args = parser.parse_args()
    kept = Kept(RESULTS, {"schema_version": SCHEMA_VERSION, "environment": environment()})
    chosen = [
        cell
        for threads in args.threads
        for cell in cells(threads)
        if cell.part in args.parts and (not args.models or cell.model in args.models)
    ]
    kept.finish(chosen, lambda cell: PARTS[cell.part](cell))


if __name__ == "__main__":
    main()
