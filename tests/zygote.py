"""Commands as forks of one process that has imported the libraries: real processes, seconds sooner.

Run as a script, it reads one job per line, prints the process number of each, and its status once it has
ended. Imported, it starts that script once and gives `run`, which answers as ``subprocess.run`` would.
Nothing of ours is imported before the fork, nor ONNX Runtime, which starts a thread: only a process of one
thread may be forked.
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
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

LIBRARIES = (
    "torch", "torchvision", "torch.export", "torch._dynamo", "torch.onnx._internal.exporter._core",
    "torch.distributed", "torch.optim.swa_utils", "torch.utils.data", "torchvision.models.detection",
    "onnx", "onnxscript", "networkx", "sympy", "typer", "rich", "pydantic", "safetensors.torch", "thop",
    "sklearn.datasets",
)  # fmt: skip


def run(words: Sequence[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    """Do what ``python -m compressor WORDS`` does, from a folder, with the present environment."""
    with tempfile.TemporaryDirectory() as folder:
        said = [Path(folder, name) for name in ("stdout", "stderr")]
        job = {"words": words, "cwd": str(cwd), "environment": dict(os.environ), "said": [*map(str, said)]}
        server = _server()
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.write(f"{json.dumps(job)}\n")
        server.stdin.flush()
        server.stdout.readline()  # the process number
        code = os.waitstatus_to_exitcode(int(server.stdout.readline()))
        return subprocess.CompletedProcess(list(words), code, *(path.read_text() for path in said))


@cache
def _server() -> subprocess.Popen[str]:
    """Start the script; it ends with this process, as its input does."""
    command = [sys.executable, "-P", __file__]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    atexit.register(_end, server)
    return server


def _end(server: subprocess.Popen[str]) -> None:
    server.communicate()


def serve() -> None:
    """Fork for every job, until there are no more."""
    for library in LIBRARIES:
        importlib.import_module(library)
    if sys.platform == "linux":
        assert len(os.listdir("/proc/self/task")) == 1, "a process of several threads must not be forked"
    gc.freeze()  # collections in the children leave the pages of the libraries shared
    for line in sys.stdin:
        process = os.fork()
        if process == 0:
            _carry_out(json.loads(line))
        print(process, flush=True)
        print(os.waitpid(process, 0)[1], flush=True)


def _carry_out(job: dict[str, Any]) -> NoReturn:
    """Become ``python -m compressor``; end without taking the libraries down, which takes a second."""
    _redirect(job["said"])
    os.chdir(job["cwd"])
    os.environ.clear()
    os.environ.update(job["environment"])
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
    atexit._run_exitfuncs()
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
