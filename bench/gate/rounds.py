"""Rounds out of several fresh processes, one measuring at a time.

A process can be faster than its twin for as long as it lives (layout of memory, placement of threads); a
shift as large as the limit fooled one gate in ten out of one process, and one in 250 out of four.
"""

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from compressor.base.errors import BackendMissingError, CompressError, ParityError, UsageError
from compressor.zoo import NOBODY, Trust
from compressor.zoo.inputs import InputSpec

PROCESSES: Final = 4
_KINDS: Final = (UsageError, BackendMissingError, ParityError)
Round = dict[str, tuple[float, ...]]
"""``baseline`` and ``candidate`` -> milliseconds per call."""


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

    def document(self) -> dict[str, Any]:
        """Return it as a worker reads it."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        trust = fields.pop("trust")
        return fields | {
            "baseline": str(self.baseline.resolve()), "candidate": str(self.candidate.resolve()),
            "inputs": dataclasses.asdict(self.inputs), "factories": sorted(trust.factories),
            "everything": trust.everything,
        }  # fmt: skip


@contextmanager
def rounds_in_turn(pair: Pair, processes: int = PROCESSES) -> Iterator[Iterator[Round]]:
    """Start workers, and yield their rounds without end, one worker after the other; they end on exit.

    Raises:
        CompressError: what a worker says, for instance that a file cannot be opened.
    """
    with ExitStack() as stack:
        workers = [stack.enter_context(_worker(pair)) for _ in range(processes)]
        yield _taken(workers)


def _taken(workers: list["_Worker"]) -> Iterator[Round]:
    while True:
        for worker in workers:
            yield worker.round()


class _Worker:
    def __init__(self, process: "subprocess.Popen[str]", said: Path) -> None:
        self._process = process
        self._said = said

    def round(self) -> Round:
        """Let it measure a round."""
        measured = self.answer("measure")["round"]
        return {name: tuple(float(ms) for ms in times) for name, times in measured.items()}

    def answer(self, line: str) -> dict[str, Any]:
        """Send a line and return the answer.

        Raises:
            CompressError: it has a message, or died.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
            said = self._process.stdout.readline()
        except OSError:
            said = ""
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


@contextmanager
def _worker(pair: Pair) -> Iterator[_Worker]:
    """Start a worker with Python's safe path, so that folders of the current one do not shadow packages."""
    root = str(Path(__file__).parents[2])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]  # the user's factories may lie there
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-P", "-m", "bench.gate.worker"]
    with (
        tempfile.NamedTemporaryFile("w+", prefix="compress-gate-") as errors,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment
        ) as process,
    ):
        worker = _Worker(process, Path(errors.name))
        try:
            worker.answer(json.dumps(pair.document()))
            yield worker
        finally:
            process.kill()
