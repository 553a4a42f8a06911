"""Whole profiles of real files, their document and their tables."""

import io
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
from rich.console import Console

from bench.candidates import Candidate
from bench.profile.document import profiles_to_json
from bench.profile.graph import Layer
from bench.profile.nodes import Node
from bench.profile.pairs import by_stage, paired
from bench.profile.probes import Probes, Trial
from bench.profile.run import Profile, ProfileSettings, profiles_of
from bench.profile.runtimes import profiler_of
from bench.profile.table import tables
from compressor.base.documents import to_json
from compressor.base.errors import UsageError
from compressor.zoo.inputs import InputSpec
from tests.bench.profile.conftest import USABLE

QUICK = ProfileSettings(backend="onnxruntime", threads=1, seconds=0.02)


def quiet(words: str) -> None:
    """Say nothing."""


@pytest.fixture(scope="module")
def profiles(nets: dict[int, Candidate]) -> list[Profile]:
    return profiles_of([nets[13], nets[16]], QUICK, quiet)


def test_the_document_has_the_fields_that_a_report_reads(profiles: list[Profile]) -> None:
    document = profiles_to_json(profiles, {"cpu": "an abacus"})
    assert list(document) == ["schema_version", "kind", "models", "pairs", "environment", "notes"]
    assert (document["schema_version"], document["kind"]) == (1, "profile")
    model = document["models"][0]
    assert list(model) == [
        "name", "digest", "backend", "threads", "batch", "precision", "shapes", "total_ms", "reorders",
        "nodes", "lints",
    ]  # fmt: skip
    assert list(model["nodes"][0]) == [
        "name", "kind", "module", "ms", "share", "precision", "macs", "in_channels", "out_channels",
    ]  # fmt: skip
    assert model["shapes"] == [[3, 24, 24]]
    assert sum(node["ms"] for node in model["nodes"]) == pytest.approx(model["total_ms"])
    assert all(list(lint) == ["kind", "module", "ms", "what", "next"] for lint in model["lints"])
    assert list(document["pairs"][0]) == ["module", "kind", "before_ms", "after_ms", "saved_ms"]
    assert profiles_to_json(profiles[:1], {})["pairs"] == []
    assert to_json(document, "the document")


def test_pairs_hold_all_the_time_of_both_and_the_most_saved_come_first(profiles: list[Profile]) -> None:
    pairs = paired(*profiles)
    assert sum(pair.before_ms for pair in pairs) == pytest.approx(profiles[0].total_ms)
    assert sum(pair.after_ms for pair in pairs) == pytest.approx(profiles[1].total_ms)
    assert [pair.saved_ms for pair in pairs] == sorted((pair.saved_ms for pair in pairs), reverse=True)
    assert len({(pair.module, pair.kind) for pair in pairs}) == len(pairs)


def test_tiny_nodes_are_doubted(profiles: list[Profile]) -> None:
    assert any("under 50 us, which the profiler slows" in note for note in profiles[0].notes)


def test_stages_are_a_detector_s_or_the_first_part_of_a_path() -> None:
    times = {"backbone.body.conv1": 3.0, "rpn.head.conv": 2.0, "layer1.0": 1.5, "layer1.1": 0.25, "": 0.5}
    nodes = [
        Node(name=path, kind="Conv", module=path, ms=ms, share=0.0, precision="fp32")
        for path, ms in times.items()
    ]
    stages = {"backbone": 3.0, "RPN head": 2.0, "layer1": 1.75, "other": 0.5}
    assert list(by_stage(nodes).items()) == list(stages.items())


@pytest.mark.parametrize("backend", USABLE)
def test_layers_are_measured_by_themselves_and_equal_ones_once(backend: str) -> None:
    probes = Probes(profiler=profiler_of(backend), threads=1)
    small, large = (
        Trial(layer=Layer(operator="Conv", weight=(width, 16, 3, 3)), taken=(1, 16, 32, 32))
        for width in (8, 256)
    )
    measured = probes.convolutions([small, large, small])
    assert measured is not None
    assert measured[0] == measured[2]
    assert 0 < 4 * measured[0] < measured[1]
    assert probes.convolutions([]) is None
    assert probes.convolutions([replace(small, taken=(1, 16, 2**14, 2**14))]) is None


def test_names_and_modules_are_shown_as_text(nets: dict[int, Candidate], tmp_path: Path) -> None:
    assert isinstance(nets[13].source, Path)
    model = onnx.load(nets[13].source)
    for node in model.graph.node:
        node.name = f"\x1b[2J[red]{node.name}"
        for number, name in enumerate(node.input):
            node.input[number] = name.replace("plain", "\x1b[2J[/bold]")
    for weight in model.graph.initializer:
        weight.name = weight.name.replace("plain", "\x1b[2J[/bold]")
    path = tmp_path / "hostile.onnx"
    onnx.save(model, path)
    named = replace(nets[13], name="[red]\x1b[2J", source=path)
    [found] = profiles_of([named], QUICK, quiet)
    console = Console(width=200, record=True, file=io.StringIO())
    for table in tables([found]):
        console.print(table)
    said = console.export_text(styles=False)
    assert "\x1b" not in said
    assert r"body.\x1b[2J[/bold]" in said
    assert r"[red]\x1b[2J" in said
    assert all("\x1b" not in note for note in found.notes)


def test_models_of_different_inputs_are_not_compared(nets: dict[int, Candidate]) -> None:
    other = replace(nets[16], inputs=InputSpec(shapes=((3, 32, 32),)))
    with pytest.raises(UsageError, match="say nothing of each other"):
        profiles_of([nets[13], other], QUICK, quiet)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (replace(QUICK, batch=0), "batches of 0"),
        (replace(QUICK, seconds=0.0), "--seconds 0"),
        (replace(QUICK, backend="torch"), "cannot say the time"),
    ],
)
def test_what_cannot_be_profiled_is_refused(
    settings: ProfileSettings, words: str, nets: dict[int, Candidate]
) -> None:
    with pytest.raises(UsageError, match=words):
        profiles_of([nets[13]], settings, quiet)
