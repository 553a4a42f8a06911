"""The report of a real run, looked at in a browser: ``python -m bench.studies.report.run --shared FOLDER``.

ResNet-56 with its published weights on CIFAR-10, cut three times and repaired without training; one of them
in int8; a detector of random weights, whose speed does not depend on them. Every document is written by the
command that users type, in a folder that is kept: a run that is started again goes on with what is missing.
Then headless Chromium opens the page as a file, light and dark, at the widths of desks and phones: pictures
for people to look at, and figures about what must not be: errors, requests, a page that scrolls sideways.
"""

import argparse
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.studies.common.published import CHECKPOINTS
from bench.studies.common.results import results_of
from bench.studies.report.browser import Browser, browser, program
from compressor.base.documents import write_json
from compressor.base.files import write_whole

RESULTS: Final = results_of("report")
DETECTOR: Final = "fasterrcnn_mobilenet_v3_large_fpn"
CUTS: Final = {"light": "0.75", "middle": "0.5", "hard": "0.3"}
"""Artifact -> share of the MACs that it keeps; the hard one has widths that kernels like."""

LOOKS: Final = tuple((width, scheme) for width in (1280, 390) for scheme in ("light", "dark"))
MOST_BYTES: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Job:
    """One command, and what it leaves.

    Attributes:
        makes: file or folder in the work folder.
        words: of the command.
        printed: whether what it prints is what it makes.
    """

    makes: str
    words: tuple[str, ...]
    printed: bool = False


def main() -> None:
    """Make what is missing, write the page, and look at it."""
    args = _arguments()
    args.work.mkdir(parents=True, exist_ok=True)
    _unpack(args.shared / "data", args.work / "cifar10.npz")
    jobs = all_jobs(args.arch, args.shared / "data" / "weights", args.seconds)
    for job in jobs:
        if not (args.work / job.makes).exists():
            carry_out(job, args.work)
    page = args.work / "report.html"
    page.unlink(missing_ok=True)
    carry_out(report_job(args.arch, jobs), args.work)
    if program() is None:
        print("there is no Chromium: nobody looked at the page", file=sys.stderr)
        return
    document = {"page_bytes": page.stat().st_size, **looked_at(page, args.work / "pictures")}
    write_json(RESULTS, document)
    print(document)


def all_jobs(arch: str, weights: Path, seconds: float) -> list[Job]:
    """Return the commands in order.

    Args:
        arch: the classifier.
        weights: folder of published checkpoints.
        seconds: timed seconds per model and batch size.
    """
    own = ("--weights", str(weights.resolve() / CHECKPOINTS[arch][0]))
    data = ("--data", "npz:cifar10.npz")
    jobs = [Job("dense.onnx", ("export", arch, *own, "-o", "dense.onnx"))]
    for name, share in CUTS.items():
        cut = ("--macs", share, "--repair", *(("--round-to", "8") if name == "hard" else ()))
        jobs.append(Job(name, ("prune", arch, *own, *cut, *data, "-o", name)))
        jobs.append(Job(f"{name}.onnx", ("export", name, "-o", f"{name}.onnx")))
    small = ("--precision", "int8", "--calib", "npz:cifar10.npz")
    jobs.append(Job("middle.int8.onnx", ("export", "middle", *small, "-o", "middle.int8.onnx")))
    files = ["dense.onnx", *(f"{name}.onnx" for name in CUTS), "middle.int8.onnx"]
    jobs += [Job(f"eval.{name}.json", ("eval", name, *data, "--json"), printed=True) for name in files]
    timed = ("--threads", "2", "--seconds", str(seconds))
    jobs.append(Job("bench.json", ("bench", *files, "--batch", "1,8", *timed, "--save", "bench.json")))
    against = ("middle.onnx", "--against", "dense.onnx", "--on-open", "pass", *timed)
    jobs.append(Job("gate.json", ("gate", *against, "--json"), printed=True))
    study = (*own, *data, "--rates-list", "0.25,0.5", "--group", "layer*.0.conv1", "--limit-images", "500")
    jobs.append(Job("inspect.json", ("inspect", arch, *study, "--json"), printed=True))
    return [*jobs, *_profile_jobs(), *_detector_jobs(seconds)]


def _profile_jobs() -> list[Job]:
    from compressor.cli import app

    if "profile" not in {command.name for command in app.registered_commands}:
        return []
    words = ("profile", "dense.onnx", "middle.onnx", "--json")
    return [Job("profile.json", words, printed=True)]


def _detector_jobs(seconds: float) -> list[Job]:
    size, cut = ("--input", "3x320x320"), ("--macs", "0.5", "--round-to", "16", "--scope", "detector")
    measured = (DETECTOR, "detector", *size, "--batch", "1", "--threads", "2", "--seconds", str(seconds))
    return [
        Job("detector", ("prune", DETECTOR, *cut, *size, "-o", "detector")),
        Job("detector.json", ("bench", *measured, "--save", "detector.json")),
    ]


def report_job(arch: str, jobs: list[Job]) -> Job:
    """Return the command that makes the page of everything that is a result."""
    results = [job.makes for job in jobs if job.makes.endswith(".json") or "." not in job.makes]
    title = ("--title", f"{arch} on CIFAR-10, pruned and repaired")
    return Job("report.html", ("report", *results, *title, "-o", "report.html"))


def carry_out(job: Job, folder: Path) -> None:
    """Run a command in the work folder; what it prints is kept where that is what it makes.

    Raises:
        SystemExit: it failed; its own words say why.
    """
    print("compress", *job.words, file=sys.stderr, flush=True)
    line = [sys.executable, "-m", "compressor", *job.words]
    done = subprocess.run(line, cwd=folder, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode not in (0, 3):  # 3: a gate that failed has said so in its document
        raise SystemExit(f"compress {job.words[0]} ended with {done.returncode}")
    if job.printed:
        write_whole(folder / job.makes, done.stdout)


def looked_at(page: Path, pictures: Path) -> dict[str, Any]:
    """Open a page as a file in every look, write pictures of it, and return what must not be.

    Raises:
        RuntimeError: the browser ended.
    """
    pictures.mkdir(exist_ok=True)
    with browser() as window:
        window.open(page)
        looks = [_look(window, width, scheme, pictures) for width, scheme in LOOKS]
        return {"looks": looks, "requests": window.requests[1:], "trouble": window.trouble}


def _look(window: Browser, width: int, scheme: str, pictures: Path) -> dict[str, Any]:
    window.dress(width, scheme)
    window.picture(pictures / f"{scheme}-{width}.png")
    size = "document.documentElement.scroll"
    sideways = window.evaluate(f"{size}Width - window.innerWidth")
    return {
        "width_px": width,
        "scheme": scheme,
        "height_px": window.evaluate(f"{size}Height"),
        "sideways_px": max(0, sideways),
    }


def _unpack(data: Path, file: Path) -> None:
    if not file.exists():
        subprocess.run([sys.executable, str(data / "unpack_cifar10.py"), str(file)], check=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path("../shared"), help="folder with data/")
    parser.add_argument("--work", type=Path, default=Path("runs/report"), help="folder that is kept")
    parser.add_argument(
        "--arch", choices=CHECKPOINTS, default="resnet56_cifar", help="smaller ones are quick"
    )
    parser.add_argument("--seconds", type=float, default=3.0, help="timed seconds per model and batch size")
    return parser.parse_args()


if __name__ == "__main__":
    main()
