"""Rounds out of several fresh processes, one measuring at a time.

A process can be faster than its twin for as long as it lives (layout of memory, placement of threads); a
shift as large as the limit fooled one gate in ten out of one process, and one in 250 out of four.

Workers start side by side, which is most of the time of a short gate, and then one works at a time: its first
round warms its models up.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np

from bench.gate.rule import Round
from compressor.base.errors import BackendMissingError, CompressError, ParityError, UsageError
from compressor.base.trust import NOBODY, Trust
from compressor.tasks.examples import example_arrays
from compressor.zoo.inputs import InputSpec

PROCESSES: Final = 4
_KINDS: Final = (UsageError, BackendMissingError, ParityError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """What is measured, and how.

    Attributes:
        baseline: file or artifact folder.
        candidate: file or artifact folder.
        inputs: what both take.
        backend: runtime.
        device: where it runs.
        threads: of the runtime; None leaves the choice to it.
        batch: samples per call.
        runs: timed calls per block at least.
        budget_s: timed seconds per model and process that a full gate is planned for.
        trust: whose factories an artifact may bring in.
        seed: of the inputs.
    """

    baseline: Path
    candidate: Path
    inputs: InputSpec
    backend: str
    device: str = "cpu"
    threads: int | None = None
    batch: int = 1
    runs: int = 3
    budget_s: float = 3.0
    trust: Trust = NOBODY
    seed: int = 0

    def document(self, arrays: Path) -> dict[str, Any]:
        """Return it as a worker reads it.

        Args:
            arrays: file with what is fed.
        """
        return {
            "baseline": str(self.baseline.resolve()), "candidate": str(self.candidate.resolve()),
            "backend": self.backend, "device": self.device, "threads": self.threads, "runs": self.runs,
            "budget_s": self.budget_s, "factories": sorted(self.trust.factories),
            "everything": self.trust.everything, "arrays": str(arrays),
        }  # fmt: skip


@contextmanager
def rounds_in_turn(pair: Pair, processes: int = PROCESSES) -> Iterator[Iterator[Round]]:
    """Start workers, and yield their rounds without end, one worker after the other; they end on exit.

    Raises:
        CompressError: what a worker says, for instance that a file cannot be opened.
    """
    with tempfile.TemporaryDirectory(prefix="compress-gate-") as name, ExitStack() as stack:
        arrays = Path(name, "arrays.npz")
        np.savez(arrays, *example_arrays(pair.inputs, pair.batch, seed=(pair.seed, pair.batch)))
        workers = []
        for number in range(processes):
            workers.append(_Worker.started(Path(name, f"{number}.log")))
            stack.callback(workers[-1].end)
        for worker in workers:
            worker.tell(json.dumps(pair.document(arrays)))
        for worker in workers:
            worker.answer()
        yield _taken(workers)


def _taken(workers: Sequence["_Worker"]) -> Iterator[Round]:
    while True:
        for worker in workers:
            yield worker.round()


class _Worker:
    def __init__(self, process: "subprocess.Popen[str]", said: Path) -> None:
        self._process = process
        self._said = said

    @classmethod
    def started(cls, said: Path) -> Self:
        """Start a process with Python's safe path: folders of the current one do not shadow packages.

        Args:
            said: file for what it and its runtimes print.
        """
        root = str(Path(__file__).parents[2])
        paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]  # the user's factories may lie there
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
        command = [sys.executable, "-P", "-m", "bench.gate.worker"]
        pipe = subprocess.PIPE
        with said.open("w") as errors:
            process = subprocess.Popen(
                command, stdin=pipe, stdout=pipe, stderr=errors, text=True, env=environment
            )
        return cls(process, said)

    def round(self) -> Round:
        """Let it measure a round."""
        self.tell("measure")
        measured = self.answer()["round"]
        return {name: tuple(float(ms) for ms in times) for name, times in measured.items()}

    def tell(self, line: str) -> None:
        """Send a line; that nobody reads it any more, the answer says."""
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """Return the answer to the line before.

        Raises:
            CompressError: it has a message, or died.
        """
        assert self._process.stdout is not None
        said = self._process.stdout.readline()
        if not said:
            last = self._said.read_text(errors="replace").strip().splitlines()[-1:]
            raise CompressError(
                f"a measuring process died: {' '.join(last) or 'without a word'}",
                "there may be too little memory for four processes; give fewer: --processes 1.",
            )
        document: dict[str, Any] = json.loads(said)
        if "error" in document:
            kind = next((kind for kind in _KINDS if kind.exit_code == document["exit_code"]), CompressError)
            raise kind(document["error"], document["hint"])
        return document

    def end(self) -> None:
        """Kill it, and wait until it is gone."""
        self._process.kill()
        with suppress(OSError):  # what was not read any more
            self._process.communicate()
