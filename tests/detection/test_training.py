"""Detectors through the common loop: they learn, imitate, and compute the same on two workers as on one."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import nn

from bench.studies.common.learned import few_images
from bench.studies.common.lively import enlivened
from compressor.artifact import Artifact
from compressor.base.errors import UsageError
from compressor.criteria import CRITERIA
from compressor.data import DataSplits
from compressor.methods.ranking import make_plan
from compressor.rates import PruneRequest, Share
from compressor.steps.plan import PrunePlan
from compressor.steps.shrink import shrink
from compressor.tasks.recipe import Recipe
from compressor.training import fine_tune
from compressor.zoo import find
from compressor.zoo.architecture import Architecture
from detection.evaluation import AveragePrecision
from detection.learning import attention, batch_loss, imitation
from detection.task import DETECTION
from export.backends import SessionOptions
from export.deploy import Calibration, DeploySettings, Precision, deploy
from export.scored import score_of_file
from tests.detection.coco_factory import write_coco
from tests.detection.workload import SMALL

NAME = "fasterrcnn_mobilenet_v3_large_fpn"
WORKLOAD = Path(__file__).with_name("workload.py")


def architecture(**kwargs: object) -> Architecture:
    return find(NAME).with_options({**SMALL, **kwargs}, ((3, 64, 96),))


@dataclass(frozen=True)
class Overfitted:
    """A pruned detector that has learned eight images by heart."""

    arch: Architecture
    plan: PrunePlan
    model: nn.Module
    data: DataSplits
    losses: list[float]


@pytest.fixture(scope="module")
def overfitted(shared: Path) -> Overfitted:
    options = {
        "rpn_post_nms_top_n_train": 100,
        "rpn_pre_nms_top_n_train": 300,
        "box_batch_size_per_image": 24,
        "rpn_post_nms_top_n_test": 100,
        "box_detections_per_img": 20,
    }
    arch = find(NAME).with_options({**SMALL, **options, "num_classes": 91}, ((3, 128, 160),))
    torch.manual_seed(0)
    model = arch.build()
    plan = make_plan(model, arch, PruneRequest(target=Share(0.3)), CRITERIA.get("l1")()).plan
    small = shrink(model, plan)
    data = DETECTION.data.open(f"coco:{shared}/data/coco_small", arch.input, small)
    data = few_images(data)
    recipe = Recipe(
        epochs=120, batch_size=8, lr=0.03, warmup_epochs=10, nesterov=False, weight_decay=0, augment=False
    )
    history = fine_tune(small, data, recipe).history
    losses = [record.train_loss for record in history]
    return Overfitted(arch=arch, plan=plan, model=small.eval(), data=data, losses=losses)


def test_a_pruned_detector_overfits_eight_real_images(overfitted: Overfitted) -> None:
    assert overfitted.losses[-1] < overfitted.losses[0] / 5
    score = DETECTION.scoring.score(overfitted.model, overfitted.data.test)
    assert score.box50 is not None
    assert score.box50 > 90


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_files_in_fewer_bits_find_what_was_learned(
    overfitted: Overfitted, tmp_path: Path, precision: Precision
) -> None:
    """Random weights say nothing of this: they amplify rounding errors until little is left.

    The canvas is square, so that upright images are laid on it as large as they were learned.
    """
    arch, data = overfitted.arch.with_options(shapes=((3, 160, 160),)), overfitted.data
    artifact = Artifact.of(overfitted.model, arch, "eight images")
    feeds = [DETECTION.data.feeds(b, arch.input) for b in data.train.batches(2, device=torch.device("cpu"))]
    settings = DeploySettings(precision=precision, calibration=Calibration(batches=feeds), threads=1)
    deployed = deploy(artifact, tmp_path / "small.onnx", settings)
    assert deployed.precision is not None
    assert deployed.precision.share > 0.9
    score = score_of_file(deployed.file.path, data.test, SessionOptions(threads=1))
    assert isinstance(score, AveragePrecision)
    assert score.box50 is not None
    assert score.box50 > 90


@pytest.fixture(scope="module")
def coco(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_coco(tmp_path_factory.mktemp("coco"), images=8, test_images=3)


def run(coco: Path, out: Path, *options: str, workers: int = 1) -> dict:
    launcher = (
        ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={workers}"] if workers > 1 else []
    )
    command = [sys.executable, *launcher, str(WORKLOAD), "--coco", str(coco), "--out", str(out), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return torch.load(out, weights_only=True)


def test_two_workers_have_the_losses_of_one(coco: Path, tmp_path: Path) -> None:
    alone = run(coco, tmp_path / "alone.pt", "--accumulate", "2")
    both = run(coco, tmp_path / "both.pt", workers=2)
    assert (alone["world"], both["world"]) == (1, 2)
    assert both["losses"] == pytest.approx(alone["losses"], rel=1e-4)
    assert alone["losses"][0] != alone["losses"][1]


def test_val_is_what_coco_calls_so_and_holdout_what_this_program_keeps_from_training(coco: Path) -> None:
    arch = architecture()
    data = DETECTION.data.open(f"coco:{coco}", arch.input, arch.build())
    assert data.images("val") is data.images("test") is data.test
    assert data.images("holdout") is data.val
    assert data.caution("val") == data.caution("test") == ""
    assert "trained elsewhere has seen them" in data.caution("holdout")


def test_the_draw_of_anchors_depends_on_epoch_and_image_alone(coco: Path) -> None:
    arch = architecture()
    model = arch.build().train()
    data = DETECTION.data.open(f"coco:{coco}", arch.input, model)
    where = {"rank": 0, "world": 1, "device": torch.device("cpu")}
    batch = next(iter(data.train.training_batches(Recipe(batch_size=1), epoch=1, **where)))
    torch.manual_seed(1)
    first = batch_loss(model, batch, 0.0, None)
    torch.manual_seed(2)
    assert torch.equal(first, batch_loss(model, batch, 0.0, None))


def test_losses_come_in_evaluation_mode_too_and_modes_are_kept(coco: Path) -> None:
    arch = architecture()
    model = arch.build()
    data = DETECTION.data.open(f"coco:{coco}", arch.input, model)
    batch = next(iter(data.train.batches(2, device=torch.device("cpu"))))
    statistics = model.get_submodule("backbone.body.0.1").running_mean.clone()
    loss = DETECTION.learning.loss(model, batch, Recipe(), None)
    assert loss.requires_grad
    assert not any(module.training for module in model.modules())
    assert torch.equal(model.get_submodule("backbone.body.0.1").running_mean, statistics)


def test_a_student_of_another_width_learns_the_teachers_attention(coco: Path) -> None:
    arch = architecture()
    torch.manual_seed(0)
    teacher = enlivened(arch.build())
    plan = make_plan(teacher, arch, PruneRequest(target=Share(0.5)), CRITERIA.get("l1")()).plan
    student = shrink(teacher, plan)
    data = DETECTION.data.open(f"coco:{coco}", arch.input, student)
    recipe = Recipe(epochs=24, batch_size=4, lr=0.02, distill=1.0, nesterov=False, augment=False)
    history = fine_tune(student, data, recipe, teacher=teacher).history
    assert history[-1].train_loss < 0.95 * history[0].train_loss


def test_attention_is_of_unit_length_and_blind_to_width() -> None:
    narrow = torch.rand(2, 3, 4, 5)
    wide = narrow.repeat(1, 7, 1, 1)
    (a,), (b,) = attention({"0": narrow}), attention({"0": wide})
    torch.testing.assert_close(a, b)
    torch.testing.assert_close(a.norm(dim=1), torch.ones(2))
    assert float(imitation([a], [b])) < 1e-6


def test_data_that_does_not_fit_is_refused(coco: Path) -> None:
    arch = architecture(num_classes=2)
    model = arch.build()
    with pytest.raises(UsageError, match="coco:DIR"):
        DETECTION.data.open("digits", arch.input, model)
    with pytest.raises(UsageError):
        DETECTION.data.open(f"coco:{coco}", arch.input, model)


def test_gradients_of_a_detector_serve_taylor(coco: Path) -> None:
    arch = architecture()
    model = arch.build()
    data = DETECTION.data.open(f"coco:{coco}", arch.input, model)
    batches = data.train.batches(2, device=torch.device("cpu"))
    spec = PruneRequest(target=Share(0.3))
    planned = make_plan(model, arch, spec, CRITERIA.get("taylor")(), batches)
    assert planned.oracle.max_relative_difference is not None
