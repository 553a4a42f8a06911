"""Cutting to a latency, on a machine that takes what it is told to; the command is tried on this one."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

from bench.candidates import Candidate
from bench.layers.aim import Aim, Reached
from bench.layers.fit import TRIES, Cut, Ground, fitted, predicted, tried
from bench.layers.price import Latency
from bench.layers.table import LatencyTable, Part, Where
from bench.statistics import Speedup
from compressor.artifact import Artifact
from compressor.base.errors import UsageError
from compressor.channels import trace
from compressor.methods import method_of, prune
from compressor.rates import Budget, PruneRequest
from compressor.zoo import find

WHERE = Where(
    backend="onnxruntime", version="1", processor="one", threads=1, batch=1, precision="fp32", block=1
)


@pytest.fixture(scope="module")
def dense() -> Artifact:
    torch.manual_seed(0)
    return Artifact.dense(find("resnet20_cifar"))


def table_of(artifact: Artifact) -> LatencyTable:
    """Return a table in which a convolution takes as long as it has weights."""
    sizes = {name: p.numel() for name, p in artifact.module.named_parameters() if p.ndim == 4}
    parts = [
        Part(module=name.removesuffix(".weight"), operator="Conv", ms=size / 1e4)
        for name, size in sizes.items()
    ]
    return LatencyTable(model="net", where=WHERE, call_ms=100.0, parts=tuple(parts))


def cut_by(artifact: Artifact) -> Cut:
    def cut(price: Latency, share: float) -> Artifact:
        request = PruneRequest(target=Budget("latency", fraction=share), scope="worth", measured=price)
        return prune(artifact, request, method_of("l1", {}, 0), words="a test")

    return cut


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine(Ground):
    """Takes ``idle`` of the dense time for nothing, and the rest by the table; no model is exported."""

    dense: Artifact
    idle: float
    noise: float = 0.0
    ms: float = 100.0

    def exported(self, name: str, artifact: Artifact) -> Candidate:
        return Candidate(name=name, source=artifact, inputs=artifact.input, digest="")

    def table(self, source: Artifact, before: Candidate) -> LatencyTable:
        return table_of(source)

    def compared(self, before: Candidate, after: Candidate) -> tuple[Speedup, float]:
        assert isinstance(after.source, Artifact)
        price = Latency(table=table_of(self.dense))
        graph = trace(self.dense.view, self.dense.example())
        share = self.idle + (1 - self.idle) * predicted(price, graph, self.dense, after.source)
        value = 1 / share
        return Speedup(value=value, low=value * (1 - self.noise), high=value * (1 + self.noise)), self.ms

    def call_ms(self, model: Candidate) -> float:
        return self.ms


def reached(dense: Artifact, aim: Aim, *, idle: float = 0.0, noise: float = 0.0) -> tuple[Artifact, Reached]:
    ground = Machine(aim=aim, folder=Path(), say=lambda words: None, dense=dense, idle=idle, noise=noise)
    return tried(dense, ground, cut_by(dense))


def test_a_table_that_is_right_needs_one_network(dense: Artifact) -> None:
    _, found = reached(dense, Aim(share=0.5))
    assert len(found.trials) == 1
    assert found.met
    assert 0.47 < found.trials[0].predicted <= 0.5


def test_what_the_table_does_not_know_is_learned_from_a_measurement(dense: Artifact) -> None:
    small, found = reached(dense, Aim(share=0.6), idle=0.3)
    first, second = found.trials
    assert first.miss(0.6) > 0.1
    assert found.kept == 1
    assert found.met
    assert second.predicted == pytest.approx(second.share, abs=0.01)
    assert small.manifest.cost_after.params < 0.5 * dense.manifest.cost_after.params


def test_milliseconds_are_a_share_of_what_was_measured(dense: Artifact) -> None:
    _, found = reached(dense, Aim(ms=40.0))
    assert found.share == 0.4
    assert found.met
    with pytest.raises(UsageError, match="takes 100 ms as it is"):
        reached(dense, Aim(ms=120.0))


def test_out_of_reach_says_the_floor_and_what_it_is_made_of(dense: Artifact) -> None:
    with pytest.raises(UsageError, match=r"--latency .*keeps 0\.0\d+, most of it for \w+"):
        reached(dense, Aim(share=0.001))


def test_noise_that_hides_the_target_ends_the_search(dense: Artifact) -> None:
    _, found = reached(dense, Aim(share=0.5), idle=0.1, noise=0.3)
    assert len(found.trials) == 1
    assert found.met


def test_the_nearest_is_kept_where_nothing_is_near(dense: Artifact) -> None:
    class Liar(Machine):
        def compared(self, before: Candidate, after: Candidate) -> tuple[Speedup, float]:
            return Speedup(value=1 / 0.65, low=1 / 0.66, high=1 / 0.64), 100.0

    ground = Liar(aim=Aim(share=0.5), folder=Path(), say=lambda words: None, dense=dense, idle=0)
    small, found = tried(dense, ground, cut_by(dense))
    assert 1 < len(found.trials) <= TRIES
    assert not found.met
    assert small.manifest.cost_after.macs < dense.manifest.cost_after.macs


def test_a_table_of_another_place_only_plans(dense: Artifact, tmp_path: Path) -> None:
    path = tmp_path / "t4.json"
    elsewhere = replace(WHERE, backend="tensorrt", processor="Tesla T4")
    replace(table_of(dense), where=elsewhere).save(path)
    aim = Aim(share=0.5, table=str(path), foreign_table=True)
    small, found = fitted(dense, aim, cut_by(dense), say=lambda words: None)
    assert not found.measured
    assert found.trials[0].predicted <= 0.5
    assert small.manifest.cost_after.macs < dense.manifest.cost_after.macs
