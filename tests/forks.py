"""Commands as forks of one process that has imported everything: sixty runs cost sixty forks.

The server reads one job per line, prints the process number of each, and its exit status when it has ended.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass
class Harness:
    """The client's side: one command at a time."""

    process: subprocess.Popen[str]
    running: bool = False

    def start(self, words: Sequence[str], place: Path, temporary: Path | None = None) -> int:
        """Start a command in ``place``, which gets its ``log``; return its process number."""
        if self.running:  # a test failed in between; its command's status is not ours
            self.ended()
        temporary = temporary or place / "tmp"
        temporary.mkdir(exist_ok=True)
        job = {"words": words, "cwd": str(place), "temporary": str(temporary), "log": str(place / "log")}
        number = int(self._said(json.dumps(job)))
        assert number > 1, "a signal to 0 would reach everybody"
        self.running = True
        return number

    def ended(self) -> int:
        """Wait for the command; return its exit code, or minus the signal."""
        status = int(self._said(None))
        self.running = False
        return os.waitstatus_to_exitcode(status)

    def run(self, words: Sequence[str], place: Path) -> float:
        """Run to the end; return how long it took."""
        started = time.monotonic()
        self.start(words, place)
        assert self.ended() == 0, (place / "log").read_text()
        return time.monotonic() - started

    def _said(self, line: str | None) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        if line is not None:
            self.process.stdin.write(f"{line}\n")
            self.process.stdin.flush()
        return self.process.stdout.readline()


@contextlib.contextmanager
def forking() -> Iterator[Harness]:
    """Yield a harness whose server ends with the block."""
    process = subprocess.Popen(
        [sys.executable, "-P", __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield Harness(process)
        assert process.stdin is not None
        process.stdin.close()


def _child(job: dict[str, Any]) -> None:
    from compressor.cli import main

    os.chdir(job["cwd"])
    os.environ["TMPDIR"] = tempfile.tempdir = job["temporary"]
    log = os.open(job["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.argv = ["compress", *job["words"]]
    try:
        main()
    except SystemExit as end:
        os._exit(int(end.code or 0))
    os._exit(99)


def _serve() -> None:
    import torch

    import compressor.cli.bench_run
    import compressor.cli.export_run
    import compressor.cli.finetune_run
    import compressor.cli.inspect_run
    import compressor.cli.prune_run
    import compressor.cli.run_run  # noqa: F401

    torch.set_num_threads(1)
    print("ready", flush=True)
    for line in sys.stdin:
        process = os.fork()
        if process == 0:
            _child(json.loads(line))
        print(process, flush=True)
        print(os.waitpid(process, 0)[1], flush=True)


if __name__ == "__main__":
    _serve()
