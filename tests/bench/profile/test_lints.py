"""Every rule on nodes made by hand: where it speaks, what it says, and where it is silent."""

from dataclasses import replace
from typing import Any

import pytest

from bench.profile.alignment import nearest, odd_width, predict
from bench.profile.graph import Layer
from bench.profile.lints import LINTS, Lint, Subject, found_in
from bench.profile.nodes import Node
from bench.profile.runtimes import profiler_of
from tests.bench.profile.conftest import FixedProbes

PROBES = FixedProbes(profiler=profiler_of("onnxruntime"), threads=1)


def conv(out: int, into: int, ms: float = 2.0, groups: int = 1, **more: Any) -> Node:
    layer = Layer(operator="Conv", weight=(out, into // groups, 3, 3), groups=groups)
    node = Node(
        name=f"{into}-{out}", kind="Conv", module=f"m{into}", ms=ms, share=0.5, precision="fp32", layer=layer,
        in_channels=into, out_channels=out, inputs=((1, into, 8, 8),),
    )  # fmt: skip
    return replace(node, **more)


def plain(kind: str, ms: float = 1.0, widths: tuple[int, ...] = (12,), **more: Any) -> Node:
    node = Node(
        name=kind, kind=kind, module="", ms=ms, share=0.1, precision="fp32", in_channels=widths[0],
        out_channels=sum(widths), inputs=tuple((1, width, 8, 8) for width in widths),
    )  # fmt: skip
    return replace(node, **more)


def found(rule: str, *nodes: Node, block: int = 8, multiple: int = 0, precision: str = "fp32") -> list[Lint]:
    subject = Subject(
        nodes=nodes,
        backend="onnxruntime",
        precision=precision,
        block=block,
        multiple=multiple or block,
        call_ms=9.0,
        probes=PROBES,
    )
    return LINTS.get(rule)(subject)


@pytest.mark.parametrize("rule", tuple(LINTS))
def test_rules_have_nothing_to_say_of_a_network_in_shape(rule: str) -> None:
    good = [
        conv(32, 3, blocked=True),
        conv(64, 32, blocked=True),
        plain("MaxPool", widths=(64,), blocked=True),
    ]
    assert found(rule, *good) == []


def test_widths_predict_what_rounding_gives() -> None:
    nodes = [
        conv(32, 3),
        conv(41, 32, 3.0),
        conv(32, 41, 4.0),
        plain("Add", 0.5),
        plain("ReorderInput", 0.25),
    ]
    [lint] = found("widths", *nodes)
    assert lint.ms == pytest.approx((3.0 - 1) + (4.0 - 1) + 0.5 + 0.25)
    assert "2 of 3 convolutions" in lint.what
    assert "--round-to 8" in lint.next
    assert found("widths", *nodes, block=0) == found("widths", *nodes, multiple=1, precision="int8") == []


def test_rounding_that_gains_nothing_is_not_recommended() -> None:
    assert found("widths", conv(41, 32, 0.9)) == []


@pytest.mark.parametrize(
    ("out", "into", "groups", "leaves"),
    [
        (32, 3, 1, False), (32, 12, 1, False), (32, 41, 1, True), (32, 42, 1, True), (41, 44, 1, False),
        (10, 10, 10, True), (12, 12, 12, False), (48, 24, 2, True), (48, 32, 2, False),
    ],
)  # fmt: skip
def test_which_convolutions_leave_the_layout(out: int, into: int, groups: int, leaves: bool) -> None:
    lints = found("layout", conv(out, into, groups=groups))
    assert bool(lints) == leaves
    assert all(lint.module == f"m{into}" for lint in lints)
    assert found("layout", conv(out, into, groups=groups, blocked=True)) == []


@pytest.mark.parametrize(
    ("kind", "widths", "breaks"),
    [
        ("Concat", (12, 20), True), ("Concat", (16, 24), False), ("MaxPool", (28,), True),
        ("GlobalAveragePool", (32,), False), ("Relu", (28,), False),
    ],
)  # fmt: skip
def test_which_pools_and_concatenations_break_it(kind: str, widths: tuple[int, ...], breaks: bool) -> None:
    assert bool(found("block", plain(kind, widths=widths))) == breaks


def test_a_concatenation_of_rows_is_no_matter_of_channels() -> None:
    assert found("block", plain("Concat", widths=(12, 20), out_channels=12)) == []


def test_reorders_are_counted_beyond_the_way_in_and_out() -> None:
    ways = [plain("ReorderInput"), plain("ReorderOutput")]
    assert found("reorders", *ways) == []
    [lint] = found("reorders", *ways, plain("ReorderOutput"))
    assert (lint.ms, lint.what.split()[0]) == (3.0, "3")


def test_memory_bound_means_that_bytes_explain_the_time_and_macs_do_not() -> None:
    """At a million bytes and a million MACs per millisecond, as the probes say."""
    assert found("memory", plain("Add", 2.0, bytes=1_500_000))
    assert not found("memory", plain("Add", 2.0, bytes=500_000))
    assert not found("memory", conv(8, 8, 2.0, bytes=1_500_000, macs=1_800_000))
    assert not found("memory", plain("Add", 2.0, bytes=1_500_000, share=0.001))


def test_many_tiny_nodes() -> None:
    tiny = [plain("Relu", 0.01)] * 30
    assert found("launch", *tiny)
    assert not found("launch", *tiny, conv(8, 8, 50.0))


def test_layers_that_stayed_in_fp32() -> None:
    low = [conv(8, 8, precision="fp16"), conv(8, 16)]
    [lint] = found("precision", *low, precision="fp16")
    assert "1 of 2 layers of this fp16 file" in lint.what
    assert found("precision", *low) == []


def test_the_most_to_save_comes_first_and_what_nobody_predicts_last() -> None:
    nodes = (conv(32, 41, 4.0), plain("MaxPool", widths=(28,)), *[plain("ReorderOutput", 0.1)] * 3)
    subject = Subject(nodes, "onnxruntime", "fp32", 8, 8, 9.0, PROBES)
    assert [lint.kind for lint in found_in(subject)] == ["widths", "layout", "reorders", "block"]


def test_odd_widths_of_a_runtime_without_blocks_are_predicted_in_fp32_and_counted_below() -> None:
    nodes = (conv(32, 44, 4.0), conv(48, 32, 4.0))
    (predicted,) = found("widths", *nodes, block=0, multiple=8)
    assert predicted.ms == pytest.approx(3.0)
    (counted,) = found("widths", *nodes, block=0, multiple=16, precision="int8")
    assert counted.ms is None
    assert "1 convolutions of this int8 file" in counted.what
    assert found("widths", *nodes, block=0, multiple=1, precision="fp16") == []
    assert found("layout", *nodes, block=0, multiple=8) == []


@pytest.mark.parametrize(("width", "to"), [(41, 40), (44, 48), (7, 7), (12, 16), (9, 8)])
def test_the_nearest_multiple(width: int, to: int) -> None:
    assert nearest(width, 8) == to


def test_the_prediction_leaves_out_what_it_cannot_know() -> None:
    grouped, image = conv(48, 20, groups=2), conv(32, 3)
    assert not any(node.layer and odd_width(node.layer, 8) for node in (grouped, image))
    assert predict([grouped, image], 8, PROBES) is None
