"""The fine-tuning command under PyTorch's launcher: two workers, one artifact."""

import json
import subprocess
import sys
from pathlib import Path

from tests import zygote


def test_two_workers_write_one_artifact(tmp_path: Path) -> None:
    pruned = zygote.run(["prune", "resnet20_cifar", "--rate", "0.7", "-o", "small"], tmp_path)
    assert pruned.returncode == 0, pruned.stderr
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    tune = ["finetune", "small", "-o", "tuned", "--data", "digits", "--epochs", "1", "--json"]
    done = subprocess.run(
        [*launcher, "-m", "compressor", *tune], cwd=tmp_path, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["metrics"]["test fine-tuned"]["images"] == 359
    assert (tmp_path / "tuned" / "model.safetensors").is_file()


def test_two_workers_share_a_score_and_print_it_once(tmp_path: Path) -> None:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    words = ["-m", "compressor", "eval", "resnet20_cifar", "--data", "digits", "--json"]
    installed = str(Path(sys.executable).with_name("compress"))
    launched = [*launcher, *words], [*launcher, "--no-python", installed, *words[2:]]  # as the manual has it
    shared, by_name = (
        json.loads(subprocess.run(w, cwd=tmp_path, check=True, capture_output=True, text=True).stdout)
        for w in launched
    )
    alone = json.loads(zygote.run(words[2:], tmp_path).stdout)
    assert shared["images"] == alone["images"] == 359
    assert shared["top1"] == alone["top1"]
    assert by_name == shared
