"""Every kind of result: it knows its own, reads it, and refuses what was damaged in words."""

import copy
import json
import math
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.report.facts import Facts
from bench.report.formats import FORMATS
from bench.report.kinds import RESULTS
from bench.report.making import make_report
from bench.report.reading import read_result
from compressor.base.errors import ArtifactError, CompressError, UsageError
from tests.bench.report import examples
from tests.bench.report.conftest import Read

DOCUMENTS = examples.every()
INSTEAD = (None, "x", "<b>\x1b[1m", -1, 0, 0.5, 1e9, True, [], {}, [1, "a"], {"a": [None]})


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from places(inner, (*path, key))


def test_every_kind_has_an_example() -> None:
    assert {*DOCUMENTS, "artifact"} <= set(RESULTS)


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_a_document_is_claimed_by_its_own_kind_alone(kind: str) -> None:
    assert [name for name in RESULTS if RESULTS.get(name).claims(DOCUMENTS[kind])] == [kind]


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_a_document_says_something(kind: str, read: Read) -> None:
    result = read(DOCUMENTS[kind])
    assert result.kind == kind
    assert result.facts != Facts()
    assert len(result.sha256) == 64


def test_an_artifact_says_what_was_cut(artifact: Path) -> None:
    facts = read_result(artifact).facts
    (pruned,) = facts.pruned
    assert pruned.macs_after < pruned.macs_before
    width = next(width for width in pruned.widths if width.group == "layer3.0.conv1")
    assert (width.before, width.requested, width.achieved) == (64, 35, 35)
    assert [one.what for one in facts.digests] == ["artifact", "its weights"]


def test_an_edited_artifact_is_refused(artifact: Path, tmp_path: Path) -> None:
    edited = tmp_path / "edited"
    shutil.copytree(artifact, edited)
    text = (edited / "manifest.json").read_text()
    (edited / "manifest.json").write_text(text.replace('"method": "l1', '"method": "l2'))
    with pytest.raises(ArtifactError, match="digest"):
        read_result(edited)


SMALL = DOCUMENTS | {
    "bench": examples.bench({"dense.onnx": 10.0, "half.onnx": 6.0}, (1,), rounds=6),
    "profile": examples.profile(layers=2),
}


@pytest.mark.parametrize("kind", SMALL)
def test_damaged_documents_are_refused_or_shown_as_text(kind: str, read: Read) -> None:
    draw = random.Random(0)
    every = places(SMALL[kind])
    alike = {tuple("*" if isinstance(key, int) else key for key in place): place for place in every}
    damaged = [replaced(SMALL[kind], place, draw.choice(INSTEAD)) for place in alike.values()]
    refused = [shown_or_refused(document, read) for document in damaged]
    assert refused.count(True) > len(alike) / 3


def shown_or_refused(document: examples.Json, read: Read) -> bool:
    """Say whether a document is refused; if not, every format shows it without a control character."""
    try:
        report = make_report([read(document)], "damaged")
    except CompressError as error:
        return "\x1b" not in error.message
    assert all("\x1b" not in FORMATS[name](report) for name in ("html", "csv"))
    return False


def replaced(document: examples.Json, place: tuple[Any, ...], value: object) -> examples.Json:
    damaged = copy.deepcopy(document)
    inside: Any = damaged
    for key in place[:-1]:
        inside = inside[key]
    inside[place[-1]] = value
    return damaged


@pytest.mark.parametrize("key", ["schema_version", "results", "notes"])
def test_a_document_that_lacks_something_is_refused(key: str, read: Read) -> None:
    document = {name: value for name, value in DOCUMENTS["bench"].items() if name != key}
    with pytest.raises(CompressError, match=r"result\.json"):
        read(document)


@pytest.mark.parametrize("document", [{}, {"schema_version": 1}, {"kind": "recipe"}, [1], "x", None])
def test_what_is_no_result_is_refused_with_the_list_of_those_that_are(document: Any, read: Read) -> None:
    with pytest.raises(UsageError, match="no result") as caught:
        read(document)
    assert all(name in caught.value.hint for name in RESULTS)


@pytest.mark.parametrize("text", ["", "{", '{"a": NaN}', "[" * 100_000, '{"a": 1, "a": 2}'])
def test_what_is_no_json_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(ArtifactError, match="no readable JSON"):
        read_result(tmp_path / "x.json")


@pytest.mark.parametrize("figure", ["1e61", "-1e300", "1e-300", "9" * 200])
def test_figures_that_no_axis_holds_are_refused(figure: str, tmp_path: Path) -> None:
    text = json.dumps(examples.scores()).replace("91.2", figure)
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(ArtifactError, match="no figure"):
        read_result(tmp_path / "x.json")


def test_a_verdict_that_contradicts_its_interval_is_refused(read: Read) -> None:
    document = copy.deepcopy(DOCUMENTS["bench"])
    document["results"][1]["speedup"]["verdict"] = "slower"
    with pytest.raises(UsageError, match=r"result\.json"):
        read(document)


def test_a_folder_that_is_no_artifact_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="cannot be read"):
        read_result(tmp_path)


def test_a_gate_keeps_the_order_of_its_rounds(read: Read) -> None:
    document = examples.gate()
    (gate,) = read(document).facts.gates
    (latency,) = gate.latencies
    assert latency.name == "batch 1, p50"
    rounds = document["latency"]["batch 1, p50"]["samples_ms"]
    assert len(latency.ratios) == len(rounds)
    first = sorted(rounds[0]["candidate"])[2:4], sorted(rounds[0]["baseline"])[2:4]
    assert latency.ratios[0] == pytest.approx(sum(first[0]) / sum(first[1]))


def test_a_gate_of_two_documents_has_ratios_and_no_times(read: Read) -> None:
    document = examples.gate()
    entry = document["latency"].pop("batch 1, p50")
    for name in ("baseline_ms", "candidate_ms", "samples_ms"):
        del entry[name]
    document["latency"]["half on onnxruntime, batch 1, p50"] = entry | {"before": 0.5, "after": 0.56}
    (latency,) = read(document).facts.gates[0].latencies
    assert latency.baseline_ms is None
    assert latency.ratios == pytest.approx([math.exp(r) for r in entry["ratios"]])


def test_a_gate_whose_ratios_do_not_follow_from_its_times_is_refused(read: Read) -> None:
    document = examples.gate()
    document["latency"]["batch 1, p50"]["ratios"][3] -= 0.1
    with pytest.raises(ArtifactError, match="do not follow"):
        read(document)


def test_what_a_later_gate_says_besides_is_left_alone(read: Read) -> None:
    document = examples.gate() | {"environment": {"cpu": "an abacus"}, "mood": "p50"}
    document["latency"]["batch 1, p50"]["mood"] = "p50"
    document["checks"][0]["seconds"] = 3
    assert read(document).facts.environment == {"cpu": "an abacus"}
