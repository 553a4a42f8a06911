"""What ``compress repair`` does: repair, score, save, print."""

from dataclasses import dataclass
from pathlib import Path

import torch

from compressor.artifact import Artifact
from compressor.base.documents import encode
from compressor.chain.job import Job
from compressor.chain.memory import Memory, go_through
from compressor.chain.settings import RepairTable
from compressor.chain.stages import stages_of_repair
from compressor.cli import output

_SMALL = "pruned"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One ``compress repair``, resolved."""

    dense: Artifact
    small: Artifact
    output: Path
    data: str
    table: RepairTable
    seed: int
    json: bool


def run(request: Request) -> None:
    """Carry out a request and print its result."""
    store = Memory()
    store.put(_SMALL, request.small)
    job = Job(
        open=lambda: request.dense,
        store=store,
        spec=request.data,
        device=torch.device("cpu"),
        say=output.say,
    )
    made = go_through(job, stages_of_repair(request.table, request.seed, _SMALL)).save(request.output)
    papers = made.manifest
    assert papers.repair is not None
    if request.json:
        output.print_json(
            {
                "artifact": str(request.output),
                "digest": made.digest(),
                "repair": encode(papers.repair),
                "metrics": {str(moment): encode(score) for moment, score in papers.scores.items()},
            }
        )
        return
    rows = [
        (r.layer, f"{r.before:.4f}", f"{r.after:.4f}", r.rows, r.columns, f"{r.ridge:g}")
        for r in papers.repair.layers
    ]
    output.show(output.table(("layer", "error before", "after", "rows", "columns", "ridge"), rows))
    for reason in papers.repair.left:
        output.show(f"left as it is: {reason}")
    for moment, score in papers.scores.items():
        output.show(f"{moment}: {score.describe()}")
    output.show(f"{papers.repair.describe()}; written: {request.output}")
