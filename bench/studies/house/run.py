"""Two checkouts of this program side by side: how large they are, and how long the same commands take.

``python -m bench.studies.house.run BEFORE AFTER`` counts lines of code and of functions, tests and studies
apart, and times whole commands, imports included, in turns: a cut of ResNet-50 to half of its MACs (build,
trace, rank, allocate, prove, shrink, count) and one epoch of training on digits.
"""

import argparse
import ast
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bench.statistics import speedup
from bench.studies.common.results import results_of
from compressor.base.documents import write_json
from compressor.base.files import scratch

RESULTS: Final = results_of("house")
PACKAGES: Final = ("compressor", "detection", "export", "bench")
FORMER_STUDIES: Final = frozenset(
    [
        "accuracy_study",
        "alignment",
        "coring_speed",
        "criteria_accuracy",
        "damage",
        "detector_parity",
        "detectors",
        "fuzz",
        "fuzz_kinds",
        "int8",
        "int8_speed",
        "learned",
        "lively",
        "one_by_one",
        "oracle",
        "precision_parity",
        "prune_speed",
        "random_detectors",
        "real_weights",
        "rounding",
        "suite",
        "tables",
        "unmoved",
    ]
)
"""Files of ``bench`` that were studies before these had folders."""
CUT: Final = ("prune", "resnet50", "--macs", "0.5", "--round-to", "16", "--dry-run", "--json")


def main() -> None:
    """Count, measure, write, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--rounds", type=int, default=8)
    arguments = parser.parse_args()
    checkouts = {"before": arguments.before.resolve(), "after": arguments.after.resolve()}
    document = {
        "size": {name: sizes(root) for name, root in checkouts.items()},
        "commands": _timed(checkouts, arguments.rounds),
    }
    write_json(RESULTS, document)
    print(document)


def sizes(root: Path) -> dict[str, float]:
    """Return figures of the four packages of a checkout."""
    lengths, lines, files = [], 0, 0
    for path in _sources(root):
        text = path.read_text()
        tree = ast.parse(text)
        files += 1
        lines += _code_lines(tree, text)
        lengths += [_length(node) for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    return {
        "files": files, "code_lines": lines, "functions": len(lengths),
        "median_function_lines": statistics.median(lengths), "longest_function_lines": max(lengths),
    }  # fmt: skip


def _sources(root: Path) -> Iterator[Path]:
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).parts
            former = package == "bench" and (path.stem in FORMER_STUDIES or "pages" in parts)
            if "studies" not in parts and not former:
                yield path


def _length(function: ast.FunctionDef) -> int:
    """Return the lines of a function's body, or of all of it where it has no docstring."""
    first = function.body[0].end_lineno if ast.get_docstring(function) else function.lineno
    return (function.end_lineno or 0) - (first or 0)


def _code_lines(tree: ast.Module, text: str) -> int:
    """Return the lines that are neither blank, nor a comment, nor part of a docstring."""
    documented: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module) and ast.get_docstring(node):
            string = node.body[0]
            documented |= set(range(string.lineno, (string.end_lineno or string.lineno) + 1))
    rows = enumerate(map(str.strip, text.splitlines()), start=1)
    return sum(bool(row) and not row.startswith("#") and number not in documented for number, row in rows)


def _timed(checkouts: dict[str, Path], rounds: int) -> dict[str, object]:
    with scratch() as folder:
        for name, root in checkouts.items():
            _run(root, folder, "prune", "resnet20_cifar", "--rate", "0.5", "-o", name)
        found: dict[str, object] = {}
        for what in ("cut resnet50", "train an epoch"):
            samples: dict[str, list[tuple[float, ...]]] = {name: [] for name in checkouts}
            for number in range(rounds):
                order = list(checkouts.items())
                for name, root in order if number % 2 else reversed(order):
                    words = CUT if what == "cut resnet50" else _epoch(name, number)
                    samples[name].append((1e3 * _run(root, folder, *words),))
            ratio = speedup(tuple(samples["before"]), tuple(samples["after"]), seed=0)
            found[what] = {"samples_ms": samples, "before_over_after": [ratio.low, ratio.value, ratio.high]}
            print(what, found[what], flush=True)
        return found


def _epoch(name: str, number: int) -> tuple[str, ...]:
    return ("finetune", name, "--data", "digits", "--epochs", "1", "-o", f"{name}-{number}", "--json")


def _run(root: Path, folder: Path, *words: str) -> float:
    """Return the seconds that a command of a checkout takes."""
    start = time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-P", "-m", "compressor", *words]
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
