"""A cut to a latency ends as every cut does; its table is of another place, so that nothing is measured."""

from pathlib import Path

import pytest
import torch

from bench.layers.aim import Aim
from bench.layers.table import LatencyTable, Part, Where
from compressor.artifact import Artifact
from compressor.base.errors import UsageError
from compressor.chain.job import Job
from compressor.chain.memory import Memory
from compressor.chain.settings import ExpectTable, PruneTable
from compressor.chain.stages import cut_of
from compressor.zoo import find

WHERE = Where(
    backend="onnxruntime", version="1", processor="one", threads=1, batch=1, precision="fp32", block=8
)


@pytest.fixture
def table(tmp_path: Path) -> PruneTable:
    parts = tuple(Part(module=f"layer{n}.1.conv1", operator="Conv", ms=1.0) for n in (1, 2, 3))
    LatencyTable(model="net", where=WHERE, call_ms=3.0, parts=parts).save(tmp_path / "t.json")
    return PruneTable(latency=Aim(share=0.6, table=str(tmp_path / "t.json"), foreign_table=True))


def cut(table: PruneTable, expect: ExpectTable) -> Artifact:
    artifact = Artifact.dense(find("resnet20_cifar"))
    job = Job(
        open=lambda: artifact, store=Memory(), spec=None, device=torch.device("cpu"), say=lambda words: None
    )
    return cut_of(table, 0, expect).rehearse(job, artifact)


def test_what_it_must_cost_is_checked(table: PruneTable) -> None:
    params = cut(table, ExpectTable()).manifest.cost_after.params
    assert cut(table, ExpectTable(params=params)).manifest.cost_after.params == params
    with pytest.raises(UsageError, match=r"\[expect\] params is 1, but the pruned model has"):
        cut(table, ExpectTable(params=1))
