"""Commands as processes: a user's folder with common names, signals, workers."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from compressor.base.files import PREFIX
from compressor.cli.process import farewell
from tests import zygote

COMPRESS = [sys.executable, "-m", "compressor"]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A user's folder whose modules have the names of our packages and fail when they are imported."""
    (tmp_path / "export.py").write_text("raise SystemExit('not ours')\n")
    for package in ("bench", "detection"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("raise SystemExit('not ours')\n")
    (tmp_path / "mine.py").write_text(
        "from torch import nn\n"
        "def net():\n"
        "    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 6, 3), nn.Flatten(),"
        " nn.Linear(6 * 64, 10))\n"
        "net.input_shapes = ((3, 12, 12),)\n"
    )
    return tmp_path


def run(*words: str, cwd: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = zygote.run(words, cwd)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done


def test_a_users_own_export_bench_and_detection_are_in_nobodys_way(place: Path) -> None:
    """Each a process of its own, with nothing imported before."""
    for words in ("prune mine:net --rate 0.5 -o small", "export small -o small.onnx --trust-code"):
        subprocess.run([*COMPRESS, *words.split()], cwd=place, capture_output=True, check=True)
    tune = ["finetune", "small", "-o", "tuned", "--data", "digits", "--epochs", "1", "--trust-code"]
    done = subprocess.run(
        [*TORCHRUN, "-m", "compressor", *tune], cwd=place, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (place / "tuned" / "manifest.json").exists()


@pytest.mark.parametrize("backends", ["torch", "torch,onnxruntime"])
def test_bench_says_whose_code_an_artifact_imports_before_it_does(place: Path, backends: str) -> None:
    run("prune", "mine:net", "--rate", "0.5", "-o", "small", cwd=place)
    with (place / "mine.py").open("a") as code:
        code.write("import sys\nprint('it runs', file=sys.stderr)\n")
    words = ["bench", "small", "--backend", backends, "--batch", "1", "--seconds", "0.05", "--threads", "1"]
    said = run(*words, "--trust-code", cwd=place).stderr
    notice = "small is built by mine:net, which is imported"
    assert said.count(notice) == 1
    assert said.index(notice) < said.index("it runs")
    refused = run(*words, cwd=place, code=1).stderr
    assert "it would import mine and call net" in refused
    assert "it runs" not in refused


@pytest.mark.parametrize("name", ["detection.task:build", "detection.models:build", "detection.task:task_of"])
def test_a_factory_in_a_package_of_a_name_of_ours_is_refused(place: Path, name: str) -> None:
    """Whether ours has a module and a function of these names or not, it is not the one that was meant."""
    taken = run("models", name, cwd=place, code=2)
    assert f"{name} lies in a package of compress itself" in taken.stderr
    assert "rename yours and what imports it, for instance to my_detection" in taken.stderr
    assert "part after the colon" not in taken.stderr


@pytest.mark.parametrize(
    "code",
    [
        "import export\nnet = export.build",
        "from export import build as net",
        "from export.models import build as net",
        "import export\ndef net():\n    return export.build()",
        "def net():\n    from export.models import build\n    return build()",
    ],
)
def test_a_factory_that_imports_its_own_export_is_told_that_it_got_ours(place: Path, code: str) -> None:
    (place / "theirs.py").write_text(code + "\n")
    told = run("models", "theirs:net", cwd=place, code=2)
    assert "theirs:net" in told.stderr
    assert "packages of compress itself and are found before others of these names" in told.stderr
    assert "my_export" in told.stderr


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("import nothing_of_that_name", "run from the folder that holds the module, or install it"),
        ("import math\nmath.nothing", "the module itself fails when it is imported"),
        ("other = None", "the part after the colon is a callable"),
    ],
)
def test_other_mistakes_in_a_factory_are_not_blamed_on_names(place: Path, code: str, hint: str) -> None:
    (place / "theirs.py").write_text(code + "\n")
    told = run("models", "theirs:net", cwd=place, code=2)
    assert hint in told.stderr
    assert "packages of compress" not in told.stderr


def test_a_mistake_is_told_once_and_other_commands_refuse(tmp_path: Path) -> None:
    for words, told in (
        (["finetune", "nothing", "-o", "x", "--data", "digits"], "unknown model 'nothing'"),
        (["prune", "resnet20_cifar", "--rate", "0.5", "-o", "x"], "does not run under torchrun"),
    ):
        done = subprocess.run(
            [*TORCHRUN, "-m", "compressor", *words], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode != 0
        assert done.stderr.count(told) == 1
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("worker", ["0", "1"])
def test_what_fails_on_one_worker_alone_is_told_once(tmp_path: Path, worker: str) -> None:
    (tmp_path / "mine.py").write_text(
        "import os\n"
        "from compressor.base.errors import UsageError\n"
        "def net():\n"
        f"    if os.environ['RANK'] == '{worker}':\n"
        "        raise UsageError('this worker has no luck', 'try again.')\n"
        "    import time; time.sleep(60)\n"
        "net.input_shapes = ((3, 12, 12),)\n"
    )
    words = ["-m", "compressor", "eval", "mine:net", "--data", "digits"]
    done = subprocess.run([*TORCHRUN, *words], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert done.stderr.count("this worker has no luck") == 1
    assert "Interrupted" not in done.stderr


TRAINING = ["finetune", "small", "-o", "tuned", "--data", "digits", "--epochs", "500", "--trust-code"]


def _training(place: Path, *launcher: str) -> subprocess.Popen[str]:
    """Start a training that does not end, and wait until its first checkpoint is there."""
    run("prune", "mine:net", "--rate", "0.5", "-o", "small", cwd=place)
    words = [*(launcher or COMPRESS[:1]), "-m", "compressor", *TRAINING]
    process = subprocess.Popen(words, cwd=place, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    until = time.monotonic() + 120
    while not (place / "tuned.run" / "checkpoint.pt").exists():
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.05)
    return process


@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_cleanly_and_says_how_to_go_on(place: Path, kind: signal.Signals) -> None:
    with _training(place) as process:
        second = run(*TRAINING, cwd=place, code=2)
        assert f"is being written by process {process.pid}" in second.stderr
        process.send_signal(kind)
        assert process.wait(60) == 130
        assert process.stderr is not None
        assert "Run the same command again" in process.stderr.read()
    assert not (place / "tuned").exists()
    assert [path.name for path in place.rglob(f"{PREFIX}*")] == []


def _children(process: int) -> list[int]:
    listed = Path(f"/proc/{process}/task/{process}/children").read_text()
    return [int(word) for word in listed.split()]


@pytest.mark.skipif(sys.platform != "linux", reason="the system tells workers on Linux only")
def test_workers_end_with_their_launcher(place: Path) -> None:
    with _training(place, *TORCHRUN) as launcher:
        workers = _children(launcher.pid)
        assert len(workers) >= 2
        os.kill(launcher.pid, signal.SIGKILL)
        launcher.wait(10)
        assert _gone(workers, 10)


def _gone(processes: list[int], within_s: float) -> bool:
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        if not any(Path(f"/proc/{process}").exists() for process in processes):
            return True
        time.sleep(0.05)
    return False


@pytest.mark.skipif(sys.platform != "linux", reason="the system tells workers on Linux only")
def test_workers_end_with_their_launcher_before_they_train(place: Path) -> None:
    run("prune", "mine:net", "--rate", "0.5", "-o", "small", cwd=place)
    (place / "mine.py").write_text(
        "import os, pathlib, time\npathlib.Path(f'here.{os.getpid()}').touch()\ntime.sleep(100)\n"
    )
    words = [*TORCHRUN, "-m", "compressor", *TRAINING]
    with subprocess.Popen(words, cwd=place, stderr=subprocess.DEVNULL) as launcher:
        until = time.monotonic() + 120
        while len(list(place.glob("here.*"))) < 2:
            assert time.monotonic() < until
            time.sleep(0.05)
        workers = [int(file.suffix[1:]) for file in place.glob("here.*")]
        launcher.kill()
        launcher.wait(10)
        try:
            assert _gone(workers, 10)
        finally:
            for worker in workers:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGKILL)


_LATE = """
import os, sys, time
from compressor.base.launcher import end_with_launcher
first = os.getppid()
print(os.getpid(), flush=True)
while os.getppid() == first:
    time.sleep(0.01)
end_with_launcher()
open("outlived", "w").close()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the system tells workers on Linux only")
def test_a_worker_whose_launcher_died_before_it_asked_ends_too(tmp_path: Path) -> None:
    launcher = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"
    environment = {**os.environ, "RANK": "0", "WORLD_SIZE": "2"}
    words = [sys.executable, "-c", launcher, _LATE]
    with subprocess.Popen(words, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        worker = int(process.stdout.readline())
        process.kill()
        assert _gone([worker], 10)
    assert not (tmp_path / "outlived").exists()


def test_what_is_said_depends_on_the_command() -> None:
    assert "kept" in farewell(["-v", "run", "recipe.toml"])
    assert "Nothing was written" in farewell(["export", "small"])
