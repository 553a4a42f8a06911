"""Runs that are killed with SIGKILL, started on several workers, and resumed: real processes throughout."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import compressor

WORKLOAD = Path(__file__).with_name("workload.py")
ROOT = Path(compressor.__file__).parents[1]
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
LIMIT_S = 120


def start(run_dir, *options, launcher=()):
    run_dir.mkdir(exist_ok=True)
    places = ("--run-dir", str(run_dir), "--out", str(run_dir / "out.pt"))
    command = [sys.executable, *launcher, str(WORKLOAD), *places, *options]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def finish(run_dir, *options, launcher=()):
    return outcome(start(run_dir, *options, launcher=launcher), run_dir)


def outcome(run, run_dir):
    with run as process:
        output, _ = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0, output
    return torch.load(run_dir / "out.pt", weights_only=True)


def kill_in_epoch(epoch, run_dir, *options):
    """Start a run, and kill it with SIGKILL when it is in the middle of ``epoch``."""
    with start(run_dir, "--stall", str(epoch), *options) as process:
        deadline = time.monotonic() + LIMIT_S
        while not (run_dir / "stalled").exists():
            assert process.poll() is None, process.stdout.read()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.kill()
    assert process.returncode == -9


def epochs_logged(run_dir):
    return [json.loads(line)["epoch"] for line in (run_dir / "log.jsonl").read_text().splitlines()]


def curve(result):
    return torch.tensor([[r["train_loss"], r["val_loss"], r["val_quality"]] for r in result["history"]])


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """One process, without batch normalisation: what any number of workers must reproduce."""
    return finish(tmp_path_factory.mktemp("alone"))


def test_killed_and_resumed_ends_with_the_same_bits(tmp_path):
    undisturbed = start(tmp_path / "whole", "--norm")
    kill_in_epoch(3, tmp_path / "torn", "--norm")
    whole = outcome(undisturbed, tmp_path / "whole")
    assert epochs_logged(tmp_path / "torn") == [1, 2]
    resumed = finish(tmp_path / "torn", "--norm", "--resume")
    assert epochs_logged(tmp_path / "torn") == [1, 2, 3, 4]
    assert torch.equal(curve(resumed), curve(whole))
    assert resumed["best_epoch"] == whole["best_epoch"]
    assert whole["weights"].keys() == resumed["weights"].keys()
    for name, tensor in whole["weights"].items():
        assert torch.equal(tensor, resumed["weights"][name]), name


def test_two_workers_compute_what_one_does(tmp_path, alone):
    both = finish(tmp_path / "both", "--accumulate", "3", launcher=TORCHRUN)
    assert both["world"] == 2
    assert epochs_logged(tmp_path / "both") == [1, 2, 3, 4]
    torch.testing.assert_close(curve(both), curve(alone), rtol=1e-4, atol=1e-6)
    assert both["accuracy"] == pytest.approx(alone["accuracy"], rel=1e-4)
    for name, tensor in alone["weights"].items():
        torch.testing.assert_close(both["weights"][name], tensor, rtol=1e-3, atol=1e-5)


def test_resuming_on_more_workers(tmp_path, alone):
    kill_in_epoch(2, tmp_path / "torn")
    resumed = finish(tmp_path / "torn", "--resume", launcher=TORCHRUN)
    assert resumed["world"] == 2
    assert epochs_logged(tmp_path / "torn") == [1, 2, 3, 4]
    torch.testing.assert_close(curve(resumed), curve(alone), rtol=1e-4, atol=1e-6)


def test_a_constraint_acts_on_the_gradients_of_all_workers(tmp_path):
    alone = finish(tmp_path / "alone", "--collapse")
    both = finish(tmp_path / "both", "--collapse", "--accumulate", "3", launcher=TORCHRUN)
    for name, tensor in alone["weights"].items():
        torch.testing.assert_close(both["weights"][name], tensor, rtol=1e-3, atol=1e-5)
    spreads = [record["measures"]["spread"] for record in both["history"]]
    assert spreads == sorted(spreads, reverse=True)
    assert spreads[-1] < 0.8 * spreads[0]
