"""What ``compress finetune`` does: join the workers, train, score, save."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from compressor.artifact import Manifest, save_artifact
from compressor.base import distributed
from compressor.base.documents import encode
from compressor.cli import output
from compressor.cli.sources import Source
from compressor.errors import UsageError
from compressor.scores import Score
from compressor.tasks.recipe import Recipe
from compressor.tasks.task import TASKS
from compressor.training import TrainResult, fine_tune, init_from_env


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One ``compress finetune``, resolved."""

    source: Source
    output: Path
    data: str
    recipe: Recipe
    teacher: nn.Module | None
    device: torch.device
    json: bool


def run(request: Request) -> None:
    """Carry out a request; only the first worker writes and prints."""
    if request.recipe.distill and request.teacher is None:
        raise UsageError("distillation needs the unpruned model", "give --teacher MODEL, or --set distill=0.")
    source = request.source
    data = TASKS.get(source.arch.task).data.open(request.data, source.arch.input, source.model)
    score = TASKS.get(data.task).scoring.score
    run_dir = request.output.with_name(f"{request.output.name}.run")
    model = source.model
    with init_from_env(request.device) as device:
        before = score(model, data.test, device=device)
        result = fine_tune(
            model, data, request.recipe, run_dir=run_dir, teacher=request.teacher, device=device, resume=True
        )
        scores = {
            "test before": before,
            "val fine-tuned": score(model, data.val, device=device),
            "test fine-tuned": score(model, data.test, device=device),
        }
        if distributed.rank() == 0:
            _finish(request, scores, result, data.val_caution)


def _finish(request: Request, scores: dict[str, Score], result: TrainResult, caution: str) -> None:
    manifest = save_artifact(request.source.model.cpu(), _manifest(request, scores), request.output)
    if request.json:
        output.print_json(
            {
                "artifact": str(request.output),
                "digest": manifest.digest(),
                "best_epoch": result.best_epoch,
                "epochs": len(result.history),
                "metrics": {name: encode(score) for name, score in scores.items()},
                "caution": caution,
            }
        )
        return
    for name, score in scores.items():
        output.show(f"{name}: {score.describe()}")
    if caution:
        output.show(f"note on val: {caution}")
    output.show(f"best epoch: {result.best_epoch} of {len(result.history)}; written: {request.output}")


def _manifest(request: Request, scores: dict[str, Score]) -> Manifest:
    source = request.source
    assert source.manifest is not None
    old = source.manifest.metrics
    return replace(
        source.manifest,
        data=request.data,
        recipe=request.recipe,
        metrics={**old, **scores},
    )
