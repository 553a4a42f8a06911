"""The page in a real browser, from a file: no request, no complaint, nothing that sticks out."""

from pathlib import Path

import pytest

from bench.report.facts import Result
from bench.report.formats import FORMATS
from bench.report.kinds import RESULTS
from bench.report.making import make_report
from bench.studies.report.browser import program
from bench.studies.report.run import DETECTOR, all_jobs, looked_at, report_job
from compressor.zoo import find
from tests.bench.report import examples
from tests.bench.report.test_formats import HOSTILE


def results() -> list[Result]:
    """Return documents of every kind but artifacts, with plain names and with names that would act."""
    hostile = [
        ("bench", examples.bench({"dense.onnx": 3, HOSTILE: 2})),
        ("eval", examples.scores(HOSTILE)),
        ("eval", examples.scores("dense.onnx", 93)),
        ("gate", examples.gate(HOSTILE, HOSTILE)),
        ("profile", examples.profile(HOSTILE, HOSTILE)),
    ]
    return [result(kind, document) for kind, document in [*examples.every().items(), *hostile]]


def result(kind: str, document: examples.Json) -> Result:
    facts = RESULTS.get(kind).facts(document, Path("x"))
    return Result(where=HOSTILE, kind=kind, sha256="ab" * 32, document=document, facts=facts)


@pytest.mark.skipif(program() is None, reason="there is no Chromium to look at the page with")
def test_the_page_in_a_browser(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text(FORMATS["html"](make_report(results(), HOSTILE)))
    seen = looked_at(page, tmp_path / "pictures")
    assert (seen["requests"], seen["trouble"]) == ([], [])
    assert [look["sideways_px"] for look in seen["looks"]] == [0, 0, 0, 0]
    assert len(list((tmp_path / "pictures").glob("*.png"))) == 4


def test_its_detector_is_one_of_the_zoo_and_can_be_cut_as_a_whole() -> None:
    assert "detector" in find(DETECTOR).scopes


def test_the_study_shows_everything_that_it_makes() -> None:
    jobs = all_jobs("resnet20_cifar", Path("weights"), 1.0)
    words = report_job("resnet20_cifar", jobs).words
    documents = [job.makes for job in jobs if job.makes.endswith(".json")]
    assert {"bench.json", "gate.json", "inspect.json", "detector.json", "light", "detector"} <= {*words}
    assert set(documents) <= {*words}
    assert not [word for word in words if word.endswith(".onnx")]
