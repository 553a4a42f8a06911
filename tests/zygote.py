"""Commands as forks of one process that has imported the libraries: real processes, seconds sooner.

Run as a script, it reads one job per line, prints the process number of each, and its status once it has
ended. Imported, it starts that script once and gives `run`, which answers as ``subprocess.run`` would, and
`harness`, for what happens to a command while it runs.
Of ours only the command line is imported before the fork, so that a signal meets its handlers as soon as it
can be sent; ONNX Runtime is not, since it starts a thread, and only a process of one thread may be forked.
"""

import atexit
import gc
import importlib
import json
import os
import runpy
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

LIBRARIES = (
    "torch", "torchvision", "torch.export", "torch._dynamo", "torch.onnx._internal.exporter._core",
    "torch.distributed", "torch.optim.swa_utils", "torch.utils.data", "torchvision.models.detection",
    "onnx", "onnxscript", "networkx", "sympy", "typer", "rich", "pydantic", "safetensors.torch", "thop",
    "sklearn.datasets", "compressor.cli",
)  # fmt: skip


@dataclass
class Harness:
    """The server from the caller's side: one command at a time."""

    process: subprocess.Popen[str]
    running: bool = False

    def begin(self, words: Sequence[str], place: Path, said: Sequence[Path], **environment: str) -> int:
        """Start ``compress WORDS`` in a folder; stdout and stderr go to files. Return its process number."""
        if self.running:  # a test failed in between; its command's status is not ours
            self.ended()
        job = {
            "words": [*words], "cwd": str(place), "said": [*map(str, said)],
            "environment": {**os.environ, **environment},
        }  # fmt: skip
        assert self.process.stdin is not None
        self.process.stdin.write(f"{json.dumps(job)}\n")
        self.process.stdin.flush()
        number = self._answer()
        assert number > 1, "a signal to 0 would reach everybody"
        self.running = True
        return number

    def start(self, words: Sequence[str], place: Path, temporary: Path | None = None) -> int:
        """Start a command whose words go to ``place/log``, with temporary files of its own."""
        temporary, log = temporary or place / "tmp", place / "log"
        temporary.mkdir(exist_ok=True)
        log.unlink(missing_ok=True)
        return self.begin(words, place, (log, log), TMPDIR=str(temporary))

    def ended(self) -> int:
        """Wait for the command; return its exit code, or minus the signal."""
        status = self._answer()
        self.running = False
        return os.waitstatus_to_exitcode(status)

    def run(self, words: Sequence[str], place: Path) -> float:
        """Run to the end; return how long it took."""
        started = time.monotonic()
        self.start(words, place)
        assert self.ended() == 0, (place / "log").read_text()
        return time.monotonic() - started

    def prepare(self, place: Path, net: str, recipe: str) -> Path:
        """Write a model of the user's and a recipe, and prune the model; return the folder."""
        (place / "mine.py").write_text(net)
        (place / "recipe.toml").write_text(recipe)
        self.run(["prune", "mine:net", "--rate", "0.5", "-o", "small"], place)
        return place

    def _answer(self) -> int:
        assert self.process.stdout is not None
        return int(self.process.stdout.readline())


def run(words: Sequence[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    """Do what ``python -m compressor WORDS`` does, from a folder, with the present environment."""
    with tempfile.TemporaryDirectory() as folder:
        said = [Path(folder, name) for name in ("stdout", "stderr")]
        server = harness()
        server.begin(words, cwd, said)
        code = server.ended()
        return subprocess.CompletedProcess(list(words), code, *(path.read_text() for path in said))


@cache
def harness() -> Harness:
    """Start the script; it ends with this process, as its input does."""
    command = [sys.executable, "-P", __file__]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    atexit.register(_end, server)
    return Harness(server)


def _end(server: subprocess.Popen[str]) -> None:
    server.communicate()


def serve() -> None:
    """Fork for every job, until there are no more."""
    for library in LIBRARIES:
        importlib.import_module(library)
    share_graphs = runpy.run_path(str(Path(__file__).with_name("exported.py")))["share"]
    if sys.platform == "linux":
        assert len(os.listdir("/proc/self/task")) == 1, "a process of several threads must not be forked"
    gc.freeze()  # collections in the children leave the pages of the libraries shared
    for line in sys.stdin:
        process = os.fork()
        if process == 0:
            _carry_out(json.loads(line), share_graphs)
        print(process, flush=True)
        print(os.waitpid(process, 0)[1], flush=True)


def _carry_out(job: dict[str, Any], share_graphs: Callable[[], None]) -> NoReturn:
    """Become ``python -m compressor``; end without taking the libraries down, which takes a second.

    Exit functions are not run: they are the libraries', and a signal that comes meanwhile would be nobody's.
    """
    _redirect(job["said"])
    os.chdir(job["cwd"])
    os.environ.clear()
    os.environ.update(job["environment"])
    share_graphs()
    tempfile.tempdir = None  # a library may have asked before
    sys.path.insert(0, os.getcwd())
    sys.argv = ["compress", *job["words"]]
    code: object = 0
    try:
        runpy.run_module("compressor", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code
    except BaseException:  # what the interpreter does with it
        sys.excepthook(*sys.exc_info())
        code = 1
    threading._shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    assert code is None or isinstance(code, int)
    os._exit(code or 0)


def _redirect(said: Sequence[str]) -> None:
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, path in enumerate(said, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), number)


if __name__ == "__main__":
    serve()
