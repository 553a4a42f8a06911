"""Commands as real processes that need not import the libraries again.

Importing PyTorch, torchvision, ONNX Runtime and the exporter takes longer than most commands of the tests.
A server imports them once, without using them, and forks for every command: a process with its own
folder, environment, output and exit code. What is about imports, names or launchers starts a real
``python -m compressor`` instead.
"""

import atexit
import json
import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import IO, Any

_LIBRARIES = (
    "torch", "torchvision", "torch.onnx", "torch.export", "torch._dynamo",
    "torch.onnx._internal.exporter._core", "onnx", "onnxruntime", "onnxscript", "onnx_ir", "pydantic", "rich",
    "sklearn.datasets", "pycocotools.mask", "thop",
)  # fmt: skip


def run(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run ``compress`` with the words in a folder and return what ``subprocess.run`` would."""
    with _file() as out, _file() as err:
        code = _server().ask(list(words), str(cwd), out.fileno(), err.fileno())
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(list(words), code, out.read(), err.read())


def _file() -> IO[str]:
    return tempfile.TemporaryFile("w+", encoding="utf-8", newline="")


class _Server:
    """The process that forks; it ends when nobody can ask it any more."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, words: list[str], folder: str, out: int, err: int) -> int:
        """Return the exit code of one command."""
        places = [f"/proc/{os.getpid()}/fd/{number}" for number in (out, err)]
        order = {"words": words, "folder": folder, "environment": dict(os.environ), "places": places}
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, "the server has ended"
        return int(answer)

    def close(self) -> None:
        """End the server."""
        self.process.communicate()


@cache
def _server() -> _Server:
    server = _Server()
    atexit.register(server.close)
    return server


def _serve() -> None:
    for name in _LIBRARIES:
        __import__(name)
    __import__("compressor.cli")
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            os._exit(_command(json.loads(line)))
        status = os.waitpid(child, 0)[1]
        print(os.waitstatus_to_exitcode(status), flush=True)


def _command(order: dict[str, Any]) -> int:
    """Become the process that was asked for, and return its exit code."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    out, err = (os.open(place, os.O_WRONLY) for place in order["places"])
    for old, new in ((nothing, 0), (out, 1), (err, 2)):
        os.dup2(old, new)
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["environment"])
    sys.argv, sys.path[0] = ["compress", *order["words"]], order["folder"]
    from compressor.cli import main

    try:
        main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        import traceback

        traceback.print_exc()
        return 1
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


if __name__ == "__main__":
    _serve()
