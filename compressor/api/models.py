"""Models, from Python: open, prune, train, score and export them."""

import dataclasses
import logging
from pathlib import Path
from typing import Any, Self

from torch import nn

from compressor.artifact import Artifact
from compressor.artifact.live import Source, as_artifact
from compressor.artifact.opening import Wanted, open_model
from compressor.base.devices import open_device
from compressor.base.errors import UsageError
from compressor.base.options import from_table
from compressor.chain.job import Job
from compressor.chain.memory import Memory
from compressor.chain.settings import PruneTable, RepairTable
from compressor.chain.stages import cut_of, trained_before
from compressor.chain.work import Stage, Work
from compressor.chain.work.repair import Repair
from compressor.chain.work.train import Train
from compressor.tasks.opened import Precision
from compressor.tasks.recipe import Recipe, recipe_from_table
from compressor.tasks.scores import Score
from compressor.zoo import NOBODY, Trust
from export.backends import SessionOptions, file_suffixes
from export.calibrated import calibration_on
from export.deploy import Deployed, DeploySettings
from export.deploy import deploy as _deploy
from export.scored import opened

_LOG = logging.getLogger(__name__)


class Model(Artifact):
    """An artifact with everything that can be done to it; whatever changes it returns another one."""

    __slots__ = ()

    @classmethod
    def around(cls, artifact: Artifact) -> Self:
        """Return an artifact with this face."""
        return cls(module=artifact.module, manifest=artifact.manifest, own=artifact.own)

    def prune(self, **request: Any) -> "Model":
        """Return a smaller model; see `prune`."""
        return prune(self, **request)

    def repair(self, dense: Source, data: str, **settings: Any) -> "Model":
        """Return a model fitted to what the dense one computes; see `repair`."""
        return repair(self, dense, data, **settings)

    def fine_tune(self, data: str, **settings: Any) -> "Model":
        """Return a trained model; see `fine_tune`."""
        return fine_tune(self, data, **settings)

    def evaluate(self, data: str, *, split: str = "test", device: str = "cpu") -> Score:
        """Return how well the model does; see `evaluate`."""
        return evaluate(self, data, split=split, device=device)

    def export(self, path: str | Path, **settings: Any) -> Deployed:
        """Write an ONNX file; see `deploy`."""
        return deploy(self, path, **settings)


def load(
    model: str | Path,
    *,
    weights: str | Path | None = None,
    classes: int | None = None,
    input: tuple[int, ...] | None = None,
    trust: Trust = NOBODY,
    seed: int = 0,
) -> Model:
    """Open an artifact folder, or build a model by name with a checkpoint or random weights.

    Args:
        model: name, ``package.module:factory``, or artifact folder.
        weights: checkpoint for a name; read without executing anything in it.
        classes: of a dense model, where it is not the usual number.
        input: shape of the input, (channels, height, width), where it is not the usual one.
        trust: whose factories an artifact may bring in.
        seed: of random weights.

    Raises:
        UsageError: there is no such model, or it cannot be had so.
        ArtifactError: the artifact is damaged, or built by code that is not trusted.
    """
    shapes = (input,) if input else None
    path = Path(weights) if weights else None
    wanted = Wanted(weights=path, classes=classes, shapes=shapes, trust=trust, seed=seed)
    return Model.around(open_model(str(model), wanted))


def prune(
    model: Source,
    *,
    data: str | None = None,
    input: tuple[int, ...] | None = None,
    factory: str | None = None,
    recipe: Recipe | None = None,
    seed: int = 0,
    **request: Any,
) -> Model:
    """Return a smaller model, proved against the masked one; ``model`` stays as it is.

    Args:
        model: by name, in a folder, opened, or a live module of one's own.
        data: data set for methods that look at training images, as for ``--data``.
        input: shape of the input, (channels, height, width); needed for a live module.
        factory: name or ``package.module:factory`` that rebuilds a live module; without one it cannot be
            saved.
        recipe: of the training that ``csgd`` and its like do before the cut; others train nothing here.
        seed: of methods that draw at random, and of random weights.
        request: how much and by what, as in the ``[prune]`` table of a recipe: ``macs=0.5``, ``rate=0.3``,
            ``round_to=16``, ``method="coring"``, ``keep=["layer1*"]``, ``latency={"share": 0.5}``.

    Raises:
        UsageError: the request makes no sense for this model.
        CompressError: tracing failed, or the pruned model is not what it should be.
    """
    artifact = as_artifact(model, input, factory, seed)
    table = from_table(PruneTable, request, "prune")
    work = trained_before(cut_of(table, seed), recipe or Recipe(epochs=0))
    return Model.around(work.carry_out(_job(artifact, data), _stage(work), artifact))


def repair(model: Source, dense: Source, data: str, *, seed: int = 0, **settings: Any) -> Model:
    """Return a copy whose weights are fitted to what the dense model computes; no labels, no gradients.

    Args:
        model: what was pruned.
        dense: what it was made of.
        data: data set whose training images are looked at, as for ``--data``.
        seed: of the images that are drawn.
        settings: as in the ``[repair]`` table of a recipe: ``images=512``, ``strength=0.01``.

    Raises:
        UsageError: a setting or the data does not fit, or ``model`` was not made of ``dense``.
        CompressError: a model computes NaN or infinity.
    """
    work = Repair(table=from_table(RepairTable, settings, "repair"), seed=seed)
    artifact = as_artifact(model)
    return Model.around(work.carry_out(_job(as_artifact(dense), data), _stage(work), artifact))


def fine_tune(
    model: Source,
    data: str,
    *,
    recipe: Recipe | None = None,
    run_dir: str | Path | None = None,
    teacher: Source | None = None,
    device: str = "cpu",
    **settings: Any,
) -> Model:
    """Return a trained copy with the weights of its best epoch, scored on the validation split.

    Args:
        model: what is trained.
        data: data set, as for ``--data``.
        recipe: how; by default the recipe of the last training, else the task's.
        run_dir: folder for checkpoints, from which an interrupted training goes on; none without it.
        teacher: unpruned model to distil from.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        settings: fields of the recipe that are to be other: ``epochs=5``, ``lr=0.02``.

    Raises:
        UsageError: a setting or the data does not fit the model.
        CompressError: the loss became infinite or not a number.
    """
    artifact = as_artifact(model)
    usual = recipe or artifact.manifest.recipe or artifact.task.learning.recipe
    work = Train(recipe=recipe_from_table({**dataclasses.asdict(usual), **settings}, where="fine_tune"))
    job = _job(artifact, data, run_dir=run_dir, device=device, teacher=teacher)
    return Model.around(work.carry_out(job, _stage(work), artifact))


def evaluate(model: Source, data: str, *, split: str = "test", device: str = "cpu") -> Score:
    """Return how well a model, or an exported file, does on a data set.

    Args:
        model: what is scored.
        data: data set, as for ``--data``.
        split: ``test``, ``val`` or ``holdout``.
        device: ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        UsageError: there is no such data set or split, or it does not fit the model.
    """
    if isinstance(model, str | Path) and Path(model).suffix in file_suffixes():
        with opened(Path(model), SessionOptions(device=device)) as file:
            images = file.task.data.open(data, file.inputs, file.model).images(split)
            return file.task.scoring.score(file.model, images)
    job = _job(as_artifact(model), data, device=device)
    return job.score(job.start, job.data.images(split))


def deploy(
    model: Source,
    path: str | Path,
    *,
    precision: Precision = "fp32",
    align: int | None = None,
    data: str | None = None,
    images: int = 256,
    limit: float | None = None,
) -> Deployed:
    """Write an ONNX file that was compared with PyTorch; one that differs is not left behind.

    Args:
        model: what is exported.
        path: the file to write.
        precision: ``fp32``, ``fp16`` or ``int8``.
        align: widths are padded to multiples of this; None takes what suits the precision on a CPU.
        data: data set on whose training images int8 measures ranges.
        images: how many of them.
        limit: percentage points of accuracy that int8 may cost; layers stay float until it holds.

    Raises:
        UsageError: the file exists, or int8 was asked for without images.
        ParityError: the file differs from PyTorch, or costs more accuracy than allowed.
    """
    artifact = as_artifact(model)
    calibration = None
    if data is not None:
        splits = artifact.task.data.open(data, artifact.input, artifact.module)
        calibration = calibration_on(splits, artifact.input, images=images, limit=limit, threads=None)
    settings = DeploySettings(precision=precision, align=align, calibration=calibration)
    return _deploy(artifact, Path(path), settings)


def _job(
    artifact: Artifact,
    data: str | None,
    *,
    run_dir: str | Path | None = None,
    device: str = "cpu",
    teacher: Source | None = None,
) -> Job:
    def taught() -> nn.Module:
        if teacher is None:
            raise UsageError("distillation needs the unpruned model", "give teacher, or distill=0.")
        return as_artifact(teacher).module

    return Job(
        open=lambda: artifact,
        store=Memory(Path(run_dir) if run_dir else None),
        spec=data,
        device=open_device(device),
        say=_LOG.info,
        teacher=taught,
    )


def _stage(work: Work) -> Stage:
    return Stage(name="call", output="", work=work)
