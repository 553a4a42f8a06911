"""What every runtime that can say the time of its nodes must do, against the network's own figures."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from bench.candidates import Candidate
from bench.profile.graph import Graph
from bench.profile.nodes import Node, placed
from bench.profile.runtimes import PROFILERS, Sampling, profiler_of
from compressor.base.errors import UsageError
from export.backends import BACKENDS
from tests.bench.profile.conftest import USABLE

FEED = {"input": np.ones((2, 3, 24, 24), np.float32)}


def nodes_of(backend: str, found: Candidate) -> tuple[Node, ...]:
    assert isinstance(found.source, Path)
    timed = profiler_of(backend).nodes(found.source, FEED, Sampling(threads=1, calls=3))
    return placed(timed, Graph.read(found.source))


def test_a_profiler_has_the_name_of_a_backend() -> None:
    assert set(PROFILERS) <= set(BACKENDS)
    assert "onnxruntime" in PROFILERS


@pytest.mark.parametrize("backend", USABLE)
@pytest.mark.parametrize("width", [13, 16])
def test_layers_are_found_with_their_modules_channels_and_macs(
    backend: str, width: int, nets: dict[int, Candidate]
) -> None:
    nodes = nodes_of(backend, nets[width])
    found = {n.module: (n.in_channels, n.out_channels, n.macs) for n in nodes if n.layer}
    double = 2 * width
    assert found == {
        "stem.0": (3, width, 2 * 24 * 24 * 3 * width * 9),
        "body.plain": (width, double, 2 * 24 * 24 * width * double * 9),
        "body.depthwise": (double, double, 2 * 22 * 22 * double * 9),
        "body.up": (double, width, 2 * 22 * 22 * double * width * 4),
        "fc": (width, 5, 2 * width * 5),
    }


@pytest.mark.parametrize("backend", USABLE)
def test_every_node_has_a_time_and_shares_add_up(backend: str, nets: dict[int, Candidate]) -> None:
    nodes = nodes_of(backend, nets[13])
    assert all(0 <= node.ms < 1000 for node in nodes)
    assert sum(node.share for node in nodes) == pytest.approx(1)
    assert {node.precision for node in nodes if node.layer} == {"fp32"}
    assert any(node.module == "pool" for node in nodes)


@pytest.mark.parametrize("backend", USABLE)
def test_calls_are_told_of(backend: str, nets: dict[int, Candidate]) -> None:
    told: list[int] = []
    sampling = Sampling(threads=1, calls=3, progress=lambda done, total: told.append(done))
    assert isinstance(nets[16].source, Path)
    profiler_of(backend).nodes(nets[16].source, FEED, sampling)
    assert told == sorted(set(told))
    assert len(told) >= 3


def test_odd_channels_leave_the_blocked_layout_and_even_ones_stay(nets: dict[int, Candidate]) -> None:
    odd, even = (nodes_of("onnxruntime", nets[width]) for width in (13, 16))
    plain = [next(n for n in nodes if n.module == "body.plain" and n.layer) for nodes in (odd, even)]
    if not plain[1].blocked:
        pytest.skip("ONNX Runtime has no blocked layout on this processor")
    assert not plain[0].blocked
    assert sum(node.reorders for node in odd) >= 1


def test_a_backend_without_a_clock_names_those_with_one() -> None:
    with pytest.raises(UsageError, match="torch cannot say the time of its nodes") as caught:
        profiler_of("torch")
    assert "onnxruntime, openvino" in caught.value.hint
    with pytest.raises(UsageError, match="unknown backend"):
        profiler_of("abacus")


def test_nodes_without_names_are_told_apart(tmp_path: Path) -> None:
    """Somebody else's file: no names, no scopes, weights that are not called after modules."""
    weight = numpy_helper.from_array(np.ones((8, 8, 1, 1), np.float32), "w")
    nodes = [helper.make_node("Conv", [a, "w"], [b]) for a, b in (("input", "h"), ("h", "output"))]
    ports = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 8, 9, 9]) for n in ("input", "output")]
    graph = helper.make_graph(nodes, "theirs", ports[:1], ports[1:], [weight])
    path = tmp_path / "theirs.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), path)
    feed = {"input": np.ones((1, 8, 9, 9), np.float32)}
    timed = profiler_of("onnxruntime").nodes(path, feed, Sampling(threads=1, calls=2))
    found = placed(timed, Graph.read(path))
    assert [node.macs for node in found if node.layer] == [81 * 64] * 2
    assert {node.module for node in found} <= {"", "w"}


def test_a_file_that_does_not_run_is_refused(nets: dict[int, Candidate]) -> None:
    wrong = {"input": np.ones((1, 4, 24, 24), np.float32)}
    assert isinstance(nets[16].source, Path)
    with pytest.raises(UsageError, match="does not run"):
        profiler_of("onnxruntime").nodes(nets[16].source, wrong, Sampling(calls=1))
