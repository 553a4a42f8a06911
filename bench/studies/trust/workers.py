"""Rows on commands under torchrun."""

import os
import signal
import time
from pathlib import Path
from typing import Final

from bench.studies.trust.registry import row
from bench.studies.trust.shell import NET, Shell, until

_GONE_S: Final = 20


@row("4 a mistake under torchrun")
def once(shell: Shell) -> str:
    """It is printed once."""
    done = shell.workers("eval", NET, "--data", "nowhere")
    times = done.stderr.count("unknown dataset")
    return f"the sentence came {times} times" if times > 1 else ""


@row("4 prune under torchrun")
def alone(shell: Shell) -> str:
    """It is refused, or one worker does it."""
    done = shell.workers("prune", NET, "--rate", "0.5", "-o", "out")
    wrote = done.stdout.count("MACs")
    return f"{wrote} workers pruned, exit {done.returncode}" if wrote > 1 else ""


@row("4 workers whose launcher is killed")
def orphans(shell: Shell) -> str:
    """They end."""
    words = ("finetune", str(shell.artifact()), "--data", "digits", "--epochs", "200", "-o", "out")
    process = shell.start_workers(*words)
    log = shell.place / "log"
    until(lambda: "epoch" in log.read_text())
    workers = _children(process.pid)
    process.kill()
    process.wait()
    time.sleep(_GONE_S)
    alive = [pid for pid in workers if _runs(pid)]
    for pid in alive:
        os.kill(pid, signal.SIGKILL)
    if not workers:
        return "no workers were seen"
    return f"{len(alive)} of {len(workers)} workers ran on" if alive else ""


def _children(parent: int) -> list[int]:
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent:
            found.append(int(status.parent.name))
    return found


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
