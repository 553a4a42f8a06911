"""What ``compress finetune`` does: join the workers, train, score, save, print."""

from dataclasses import dataclass
from pathlib import Path

import torch

from compressor.artifact import Artifact
from compressor.base import distributed
from compressor.base.documents import encode
from compressor.base.errors import UsageError
from compressor.chain.job import Job, beside
from compressor.chain.memory import Memory, go_through
from compressor.chain.stages import stages_of_finetune
from compressor.cli import output
from compressor.tasks.recipe import Recipe
from compressor.tasks.scores import Moment
from compressor.training import init_from_env
from compressor.training.records import TrainResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One ``compress finetune``, resolved."""

    source: Artifact
    output: Path
    data: str
    recipe: Recipe
    teacher: Artifact | None
    device: torch.device
    json: bool


_SCORED = (Moment("test", "before"), Moment("val", "fine-tuned"), Moment("test", "fine-tuned"))


def run(request: Request) -> None:
    """Carry out a request; only the first worker writes and prints."""
    if request.recipe.distill and request.teacher is None:
        raise UsageError("distillation needs the unpruned model", "give --teacher MODEL, or --set distill=0.")
    results: list[TrainResult] = []
    with init_from_env(request.device) as device:
        job = _job(request, device, results)
        tuned = go_through(job, stages_of_finetune(request.recipe))
        if distributed.rank() == 0:
            _finish(request, tuned.save(request.output), results[0], job.data.val_caution)


def _job(request: Request, device: torch.device, results: list[TrainResult]) -> Job:
    teacher = request.teacher or request.source  # without distillation nobody asks it
    return Job(
        open=lambda: request.source,
        store=Memory(beside(request.output)),
        spec=request.data,
        device=device,
        say=output.say,
        teacher=lambda: teacher.module,
        trained=results.append,
    )


def _finish(request: Request, tuned: Artifact, result: TrainResult, caution: str) -> None:
    scores = {moment: tuned.manifest.scores[moment] for moment in _SCORED}
    if request.json:
        output.print_json(
            {
                "artifact": str(request.output),
                "digest": tuned.digest(),
                "best_epoch": result.best_epoch,
                "epochs": len(result.history),
                "metrics": {str(moment): encode(score) for moment, score in scores.items()},
                "caution": caution,
            }
        )
        return
    for moment, score in scores.items():
        output.show(f"{moment}: {score.describe()}")
    if caution:
        output.show(f"note on val: {caution}")
    output.show(f"best epoch: {result.best_epoch} of {len(result.history)}; written: {request.output}")
