"""Half of the multiply-adds of networks of timm, without a flag: ``python -m bench.studies.strangers.run``.

Each is what ``compress prune timm.models:NAME --macs 0.5 --input 3xHxW --dry-run --json`` makes of it, random
weights: traced, planned and proven, in a process of its own. timm is no dependency of this project: install
it beside it. A study that is started again goes on with the first network missing.
"""

import argparse
import contextlib
import json
import os
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Final

import torch

from bench.environment import environment
from bench.studies.common.cells import Kept, Row
from bench.studies.common.results import results_of
from bench.studies.strangers.names import HALF, NAMES
from compressor.cli import main as command

RESULTS: Final = results_of("strangers")
SCHEMA_VERSION: Final = 1
_LIMIT_S: Final = 300
_MEMORY_BYTES: Final = 12 * 2**30


@dataclass(frozen=True, slots=True)
class Cell:
    """One network, by its name and the side of its input."""

    model: str
    side: int


def main() -> None:
    """Try all networks, or those named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", help="only these, and nothing is written")
    chosen = parser.parse_args().models
    torch.set_num_threads(1)
    version: str = import_module("timm").__version__
    cells = [Cell(model, side) for side, names in NAMES.items() for model in names.split()]
    if chosen:
        for cell in cells:
            if cell.model in chosen:
                print(cell.model, json.dumps(tried(cell)), flush=True)
        return
    kept = Kept(RESULTS, {"schema_version": SCHEMA_VERSION, "environment": environment(), "timm": version})
    kept.finish(cells, tried)
    passed = sum(row["status"] == 0 and row["macs_share"] <= HALF for row in kept.cells)
    print(f"{passed} of {len(kept.cells)} reach half of their multiply-adds", flush=True)


def tried(cell: Cell) -> Row:
    """Return how the command ended, and what it said."""
    side = f"3x{cell.side}x{cell.side}"
    words = ("prune", f"timm.models:{cell.model}", "--macs", "0.5", "--input", side, "--dry-run", "--json")
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder) / "out", Path(folder) / "err"
        status = _forked(words, out, err)
        said = err.read_text(errors="replace")
        shown = out.read_text(errors="replace")
    row: Row = {"status": status, "seconds": round(time.monotonic() - start, 1)}
    if status:
        return {**row, "said": _error(said)}
    document = json.loads(shown)
    before, after = (document[name]["macs"] for name in ("cost_before", "cost_after"))
    cut = [group for group in document["plan"]["groups"] if group["kept"] < group["size"]]
    return {
        **row,
        "macs_share": round(after / before, 4),
        "groups": len(document["plan"]["groups"]),
        "cut": len(cut),
        "difference": document["oracle"]["max_relative_difference"],
    }


def _forked(words: Sequence[str], out: Path, err: Path) -> int:
    """Run the command in a child of this process, in which everything heavy is imported already."""
    child = os.fork()
    if child == 0:
        for number, path in ((1, out), (2, err)):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
        signal.alarm(_LIMIT_S)
        sys.argv = ["compress", *words]
        status = 1
        try:
            command()
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else int(end.code is not None)
        finally:
            with contextlib.suppress(OSError):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _error(said: str) -> str:
    """Return the first line of an error, or the last line that was said."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    named = [line for line in lines if "rror: " in line]
    return (named or lines or ["nothing"])[0][:300]


if __name__ == "__main__":
    main()
