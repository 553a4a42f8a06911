import itertools

import pytest

from bench.report.content import Plot, Section, Table, tables_of
from bench.report.facts import Facts, Result, Scored
from bench.report.making import make_report
from bench.report.matching import about
from bench.report.sections import SECTIONS
from bench.report.sections.accuracy import front
from bench.report.sections.rounds import drift, spread
from bench.report.sections.widths import aligned
from compressor.base.errors import UsageError
from tests.bench.report import examples
from tests.bench.report.conftest import Read


def names(results: list[Result]) -> list[str]:
    return [section.name for section in make_report(results, "x").sections]


def section(results: list[Result], name: str) -> Section:
    return next(one for one in make_report(results, "x").sections if one.name == name)


def test_everything_gives_every_section_in_order(results: list[Result]) -> None:
    assert names(results) == [
        "verdict", "speed-up", "serving", "rounds", "layers", "widths", "macs", "accuracy", "sensitivity",
        "environment",
    ]  # fmt: skip
    assert len(names(results)) == len(list(SECTIONS))


@pytest.mark.parametrize("name", list(SECTIONS))
def test_a_section_of_nothing_is_absent(name: str) -> None:
    found = SECTIONS.get(name).section(Facts(), ())
    assert found is None or name == "environment"


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (examples.scores(), ["accuracy", "environment"]),
        (examples.inspection(), ["sensitivity", "environment"]),
        (examples.gate(), ["verdict", "speed-up", "rounds", "environment"]),
        (examples.server(), ["serving", "environment"]),
        (examples.profile(), ["layers", "macs", "environment"]),
    ],
)
def test_sections_without_data_are_absent(document: examples.Json, expected: list[str], read: Read) -> None:
    assert names([read(document)]) == expected


def test_nothing_is_no_report() -> None:
    with pytest.raises(UsageError, match="nothing to report"):
        make_report([], "x")


def test_every_plot_has_words_and_a_table(results: list[Result]) -> None:
    plots = [
        part for one in make_report(results, "x").sections for part in one.parts if isinstance(part, Plot)
    ]
    assert len(plots) >= 8
    for plot in plots:
        assert plot.words
        assert plot.table.rows
        for width in (350, 920):
            assert plot.draw(width=width).get("viewBox", "").startswith(f"0 0 {width} ")


def test_the_verdict_is_the_gate_s(results: list[Result], read: Read) -> None:
    banners = [part for part in section(results, "verdict").parts if part.kind == "banner"]
    assert [(one.word, one.mood) for one in banners[:1]] == [("FAIL", "bad")]
    assert banners[1].word.startswith("1.6")
    assert "half.onnx is faster than dense.onnx" in banners[1].text
    (passed, *_) = section([read(examples.gate(change=-0.2))], "verdict").parts
    assert (passed.kind, getattr(passed, "word", "")) == ("banner", "PASS")


def test_layers_are_sorted_by_what_was_saved_and_lints_stand_beside_them(results: list[Result]) -> None:
    pairs, _, _, lints = (part for part in section(results, "layers").parts)
    assert isinstance(pairs, Plot)
    saved = [row[4] for row in pairs.table.rows]
    assert saved == sorted(saved, key=lambda ms: -float(ms or 0))
    marked = [row for row in pairs.table.rows if row[5]]
    assert [(row[0], row[5]) for row in marked] == [("layer1.0.conv2", "width not aligned")]
    assert tables_of(Section(name="x", title="", lead="", parts=(lints,)))[0].rows[0][1] == "layer1.0.conv2"


def test_layers_with_one_cure_share_a_row_and_are_listed_on_demand(read: Read) -> None:
    document = examples.profile()
    (lint,) = document["models"][1]["lints"]
    other = lint | {"module": "", "kind": "reorders", "ms": None, "next": "another thing"}
    others = [lint | {"module": f"layer{n}", "ms": ms} for n, ms in ((2, 0.25), (3, None))]
    document["models"][1]["lints"] = [lint, other, *others]
    merged, every = section([read(document)], "layers").parts[-2:]
    assert isinstance(merged, Table)
    assert isinstance(every, Table)
    rows = [(row[1], row[2], row[3]) for row in merged.rows]
    assert rows == [("layer1.0.conv2 and 2 more", "width not aligned", 0.35), ("", "reorders", None)]
    assert (every.folded, [row[1] for row in every.rows]) == (
        True,
        ["layer1.0.conv2", "", "layer2", "layer3"],
    )


def test_one_model_is_sorted_by_time(read: Read) -> None:
    document = examples.profile()
    document |= {"models": document["models"][:1], "pairs": []}
    plot = section([read(document)], "layers").parts[0]
    assert isinstance(plot, Plot)
    times = [float(row[2] or 0) for row in plot.table.rows]
    assert times == sorted(times, reverse=True)


def test_accuracy_meets_latency_by_the_name_of_the_model(results: list[Result]) -> None:
    plots = [part for part in section(results, "accuracy").parts if isinstance(part, Plot)]
    assert len(plots) == 2  # one per batch size
    assert [(row[0], row[2], row[3]) for row in plots[0].table.rows] == [
        ("dense.onnx", 92.5, "yes"), ("half.onnx", 91.2, "yes"),
    ]  # fmt: skip


def test_synthetic_scores_are_named_and_compared_with_nothing(read: Read) -> None:
    documents = [examples.scores(name) | {"synthetic": True} for name in ("dense.onnx", "half.onnx")]
    found = section(
        [read(one) for one in (examples.bench({"dense.onnx": 2, "half.onnx": 1}), *documents)], "accuracy"
    )
    assert not [part for part in found.parts if isinstance(part, Plot)]
    assert "means nothing" in str(tables_of(found)[0].rows)


def test_a_model_without_a_score_is_told_how_to_get_one(read: Read) -> None:
    found = section(
        [read(examples.bench({"a.onnx": 2, "b.onnx": 1})), read(examples.scores("a.onnx"))], "accuracy"
    )
    notes = [getattr(part, "text", "") for part in found.parts if part.kind == "note"]
    assert notes == [
        "b.onnx was measured and has no score here: add the document of compress eval b.onnx --json"
    ]


def test_work_meets_time_where_an_artifact_was_measured(
    artifact: object, results: list[Result], read: Read
) -> None:
    timed = read(examples.bench({"resnet20_cifar": 2, "half": 1}))
    found = section([*results, timed], "macs")
    assert "MACs and time of layers: dense.onnx, half.onnx" in [table.title for table in tables_of(found)]


def test_environments_of_one_machine_are_one(results: list[Result]) -> None:
    titles = [table.title for table in tables_of(section(results, "environment"))]
    assert sum("bench.json" in title and "profile.json" in title for title in titles) == 1


def test_machines_that_differ_are_named_in_the_verdict(read: Read) -> None:
    other = examples.bench({"a": 2, "b": 1}) | {"environment": {"cpu": "another"}}
    found = section([read(examples.bench({"a": 2, "b": 1})), read(other)], "verdict")
    assert "2 machines" in " ".join(getattr(part, "text", "") for part in found.parts)


def scored(model: str) -> Scored:
    return Scored(model=model, metric="top-1", data="d", split="test", quality=1, words="", images=1)


@pytest.mark.parametrize(
    ("name", "known", "expected"),
    [
        ("a/x.onnx", ["a/x.onnx", "b/x.onnx"], ["a/x.onnx"]),
        ("x.onnx", ["a/x.onnx"], ["a/x.onnx"]),
        ("x.onnx", ["a/x.onnx", "b/x.onnx"], []),
        ("x", ["x.onnx"], []),
    ],
)
def test_facts_are_about_a_model_by_name(name: str, known: list[str], expected: list[str]) -> None:
    assert [fact.model for fact in about(name, [scored(one) for one in known])] == expected


def test_the_front_is_what_nobody_beats() -> None:
    points = [("a", 1.0, 80.0), ("b", 2.0, 90.0), ("c", 3.0, 85.0), ("d", 4.0, 95.0), ("e", 4.0, 94.0)]
    for order in itertools.permutations(points):
        assert [name for name, _, _ in front(order)] == ["a", "b", "d"]


def test_drift_and_spread_are_seen() -> None:
    assert spread([1.0, 1.0, 1.0]) == 0
    assert drift([1.0, 1.0, 1.1, 1.1]) == pytest.approx(10)
    two_modes = [1.0, 1.1] * 6
    assert spread(two_modes) > 4
    assert abs(drift(two_modes)) < 0.1
    assert (spread([2.0]), drift([2.0])) == (0, 0)


@pytest.mark.parametrize(
    ("width", "words"), [(64, "multiple of 32"), (24, "multiple of 8"), (38, "no multiple of 4")]
)
def test_widths_say_what_divides_them(width: int, words: str) -> None:
    assert aligned(width) == words


def test_what_a_server_saw_is_shown_with_its_search(read: Read) -> None:
    document = examples.server()
    shown = section([read(document)], "serving")
    served, searched = tables_of(shown)
    assert served.rows[0][:4] == ("half.onnx", "onnxruntime", "1", 50.0)
    assert served.rows[0][5] == document["served"][0]["p99_ms"]
    assert searched.rows == (("half.onnx", "onnxruntime", "1", 40.0, 90.0, 5.0),)
    assert "up to 90.0 queries/s" in str(shown.parts)


def test_the_best_batch_of_a_sweep_is_shown(read: Read) -> None:
    document = examples.bench({"dense.onnx": 10.0}) | {"mode": "throughput"}
    (table,) = tables_of(section([read(document)], "serving"))
    best = max(document["results"], key=lambda one: one["throughput_per_s"])
    assert table.rows == (("dense.onnx", "onnxruntime", "8", best["throughput_per_s"]),)
