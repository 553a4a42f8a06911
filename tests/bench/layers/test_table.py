"""Latency tables as documents: whole, strict, and of one place and model."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from bench.layers.cache import Cache
from bench.layers.grid import Grid
from bench.layers.price import Latency
from bench.layers.show import shown
from bench.layers.signature import Signature
from bench.layers.table import Entry, LatencyTable, Part, Where, by_key
from compressor.base.errors import ArtifactError, UsageError
from compressor.channels import ChannelGraph, trace
from compressor.channels.cost import kept_units

WHERE = Where(
    backend="onnxruntime", version="1", processor="x", threads=2, batch=1, precision="fp32", block=8
)
ENTRY = Entry(
    signature=Signature(kernel=(3, 3), settings=(("pads", (1, 1, 1, 1)),), taken=(8, 8), batch=1),
    grid=Grid(into=(8, 16), out=(16, 32), ms=((1.0, 2.0), (2.0, 4.0))),
)
PARTS = (
    Part(module="1", operator="Conv", ms=8.0, entry=0),
    Part(module="", operator="", ms=1.0, makers=("1",)),
    Part(module="3", operator="Conv", ms=2.0),
    Part(module="", operator="", ms=1.0),
)
TABLE = LatencyTable(model="net", where=WHERE, call_ms=24.0, parts=PARTS, entries=(ENTRY,))


@pytest.fixture(scope="module")
def graph() -> ChannelGraph:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 5, 1)
    )
    return trace(net, [torch.randn(1, 3, 8, 8)])


def test_a_table_comes_back_as_it_was_written(tmp_path: Path) -> None:
    TABLE.save(tmp_path / "t.json")
    assert LatencyTable.load(tmp_path / "t.json") == TABLE


def test_a_table_that_was_cut_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    TABLE.save(path)
    text = path.read_text()
    for end in range(0, len(text) - 2, 37):
        path.write_text(text[:end])
        with pytest.raises(ArtifactError, match=r"t\.json"):
            LatencyTable.load(path)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("call_ms",), 0.0), (("call_ms",), -1.0), (("call_ms",), "fast"), (("parts",), []),
        (("parts", 0, "entry"), 1), (("parts", 0, "entry"), -1), (("parts", 0, "ms"), -1.0),
        (("entries", 0, "grid", "ms"), [[1.0, 2.0]]), (("entries", 0, "grid", "ms", 0, 0), 0.0),
        (("entries", 0, "grid", "into"), [16, 8]), (("entries", 0, "grid", "out"), []),
        (("where", "block"), 0), (("where", "batch"), 1.5), (("kind",), "profile"), (("schema_version",), 2),
        (("surprise",), 1),
    ],
)  # fmt: skip
def test_a_table_with_a_wrong_field_is_refused(
    tmp_path: Path, place: tuple[str | int, ...], value: object
) -> None:
    path = tmp_path / "t.json"
    TABLE.save(path)
    document = json.loads(path.read_text())
    inner = document
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    path.write_text(json.dumps(document))
    with pytest.raises(ArtifactError):
        LatencyTable.load(path)


def test_a_table_of_another_place_is_refused_by_name() -> None:
    TABLE.require(WHERE)
    with pytest.raises(UsageError, match=r"version 1, here 2.*threads 2, here 1"):
        TABLE.require(replace(WHERE, version="2", threads=1))


def test_the_dense_model_takes_what_was_measured(graph: ChannelGraph) -> None:
    price = Latency(table=TABLE).of(graph)
    assert price(kept_units(graph)[None])[0] == pytest.approx(24.0)


def test_each_node_changes_as_its_law_says(graph: ChannelGraph) -> None:
    names = [group.name for group in graph.groups]
    kept = kept_units(graph)
    kept[names.index("0")], kept[names.index("1")] = 8, 16
    scale = 24.0 / 12.0
    expected = 8.0 * (1.0 / 4.0) + 1.0 * 0.5 + 2.0 * 0.5 + 1.0
    assert Latency(table=TABLE).of(graph)(kept[None])[0] == pytest.approx(scale * expected)


def test_a_begun_block_costs_as_much_as_a_whole_one(graph: ChannelGraph) -> None:
    price = Latency(table=TABLE).of(graph)
    group = next(i for i, g in enumerate(graph.groups) if g.name == "0")
    rows = np.repeat(kept_units(graph)[None], 3, axis=0)
    rows[:, group] = (9, 15, 16)
    assert len({float(ms) for ms in price.near(group)(rows)}) == 1


def test_a_measurement_bends_the_price(graph: ChannelGraph) -> None:
    straight = Latency(table=TABLE)
    bent = straight.bent(0.5, 0.6)
    kept = kept_units(graph)
    kept[[i for i, g in enumerate(graph.groups) if g.name == "1"]] = 16
    share = straight.of(graph)(kept[None])[0] / 24.0
    assert bent.of(graph)(kept_units(graph)[None])[0] == pytest.approx(24.0)
    assert bent.of(graph)(kept[None])[0] / 24.0 == pytest.approx(1 - 0.8 * (1 - share))


def test_a_table_of_another_model_is_refused(graph: ChannelGraph) -> None:
    strange = replace(TABLE, parts=(Part(module="backbone", operator="Conv", ms=1.0),))
    wide = replace(ENTRY, grid=replace(ENTRY.grid, out=(16, 48)))
    narrow = replace(ENTRY, grid=replace(ENTRY.grid, out=(8, 24)))
    for table, why in (
        (strange, "none of the model's layers"),
        (replace(TABLE, entries=(wide,)), "48 channels"),
        (replace(TABLE, entries=(narrow,)), "24 channels"),
    ):
        with pytest.raises(UsageError, match=why):
            Latency(table=table).of(graph)


def test_a_width_that_was_padded_by_the_export_is_the_same_layer(graph: ChannelGraph) -> None:
    padded = replace(ENTRY, grid=replace(ENTRY.grid, out=(16, 40)))
    price = Latency(table=replace(TABLE, entries=(padded,))).of(graph)
    assert price(kept_units(graph)[None])[0] == pytest.approx(24.0)


def test_a_table_can_be_looked_at() -> None:
    found = shown(replace(TABLE, model="m[red]\x1b[31m"))
    assert found.row_count == 1
    assert "\x1b" not in str(found.title)


def test_times_are_kept_for_the_place_that_they_are_of(tmp_path: Path) -> None:
    cache = Cache(WHERE, tmp_path)
    assert cache.read() == {}
    cache.write(by_key([ENTRY]))
    assert cache.read() == {ENTRY.key: ENTRY}
    assert Cache(replace(WHERE, threads=1), tmp_path).read() == {}
    cache.path.write_text(cache.path.read_text()[:-40])
    assert cache.read() == {}  # what is damaged is measured again
