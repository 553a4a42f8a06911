import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bench import run as module
from bench.document import report_to_json
from bench.measure import MeasureSettings
from bench.run import SYNTHETIC_NOTE, Candidate, bench
from compressor.base.errors import BackendMissingError, UsageError
from compressor.zoo.inputs import InputSpec
from export.backends import SessionOptions

MakeCandidate = Callable[[str, int], Candidate]
ONE_THREAD = SessionOptions(threads=1)


def test_models_are_measured_at_every_batch_size(candidate: MakeCandidate) -> None:
    models = [candidate("long", 40), candidate("short", 1)]
    found = bench(
        models,
        backend="onnxruntime",
        options=ONE_THREAD,
        batches=(1, 16),
        settings=MeasureSettings(budget_s=0.1),
    )
    assert [(r.model, r.settings.batch) for r in found.results] == [
        ("long", 1),
        ("short", 1),
        ("long", 16),
        ("short", 16),
    ]
    for result in found.results:
        assert result.settings.backend == "onnxruntime"
        assert result.settings.threads == 1
        assert len(result.samples_ms) == result.settings.blocks >= 8
        assert {len(block) for block in result.samples_ms} == {result.settings.runs_per_block}
    assert [r.digest for r in found.results[:2]] == [model.digest for model in models]
    assert SYNTHETIC_NOTE in found.notes
    assert "onnx" in found.environment


def test_forty_layers_against_one_is_a_difference(candidate: MakeCandidate) -> None:
    models = [candidate("long", 40), candidate("short", 1)]
    (found,) = bench(
        models,
        backend="onnxruntime",
        options=ONE_THREAD,
        batches=(16,),
        settings=MeasureSettings(budget_s=0.3),
    ).comparisons
    assert (found.model, found.baseline, found.batch) == ("short", "long", 16)
    assert found.verdict == "faster"
    assert found.speedup.low > 1


def test_progress_is_told(candidate: MakeCandidate) -> None:
    told: list[str] = []
    bench(
        [candidate("only", 1)],
        backend="onnxruntime",
        options=ONE_THREAD,
        batches=(1,),
        settings=MeasureSettings(budget_s=0.05),
        progress=lambda what, done, total: told.append(what),
    )
    assert told[0] == "warm-up only"
    assert told[-1] == "block of only"


@pytest.mark.parametrize(
    ("names", "batches", "budget_s", "message"),
    [
        ([], (1,), 1.0, "no model"),
        (["a", "a"], (1,), 1.0, "same name"),
        (["a"], (), 1.0, "batch sizes"),
        (["a"], (0,), 1.0, "batch sizes"),
        (["a"], (2, 2), 1.0, "batch sizes"),
        (["a"], (1,), 0.0, "budget"),
        (["a"], (1,), float("nan"), "budget"),
        (["a"], (1,), float("inf"), "budget"),
    ],
)
def test_requests_that_make_no_sense_are_refused(
    candidate: MakeCandidate, names: list[str], batches: tuple[int, ...], budget_s: float, message: str
) -> None:
    models = [candidate(name, 1) for name in names]
    with pytest.raises(UsageError, match=message):
        bench(
            models,
            backend="onnxruntime",
            options=ONE_THREAD,
            batches=batches,
            settings=MeasureSettings(budget_s=budget_s),
        )


def test_a_wrong_number_of_input_shapes_is_refused(candidate: MakeCandidate) -> None:
    good = candidate("m", 1)
    bad = Candidate(name="m", source=good.source, inputs=InputSpec(shapes=((4, 8, 8),) * 2), digest="")
    with pytest.raises(UsageError, match="takes input, but 2 shapes"):
        bench(
            [bad],
            backend="onnxruntime",
            options=ONE_THREAD,
            batches=(1,),
            settings=MeasureSettings(budget_s=0.05),
        )


def test_an_unknown_backend_is_refused(candidate: MakeCandidate) -> None:
    with pytest.raises(UsageError, match="unknown backend"):
        bench([candidate("m", 1)], backend="abacus", options=ONE_THREAD)


@pytest.mark.skipif(torch.cuda.is_available(), reason="asks for CUDA where there is none")
def test_cuda_that_is_not_there_is_refused_before_anything_runs(candidate: MakeCandidate) -> None:
    told: list[str] = []
    with pytest.raises(BackendMissingError):
        bench(
            [candidate("m", 1)],
            backend="onnxruntime",
            options=SessionOptions(device="cuda"),
            progress=lambda what, done, total: told.append(what),
        )
    assert told == []


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    absent = Candidate(name="m", source=tmp_path / "m.onnx", inputs=InputSpec(shapes=((4,),)), digest="")
    with pytest.raises(UsageError, match=r"m\.onnx"):
        bench([absent], backend="onnxruntime", options=ONE_THREAD)


def test_a_busy_machine_is_noted(candidate: MakeCandidate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "environment", lambda: {"load_average_1min": "3.25"})
    found = bench(
        [candidate("m", 1)],
        backend="onnxruntime",
        options=ONE_THREAD,
        batches=(1,),
        settings=MeasureSettings(budget_s=0.02),
    )
    assert any("load average 3.2" in note for note in found.notes)


def test_models_of_other_inputs_are_not_compared(candidate: MakeCandidate) -> None:
    small, large = candidate("small", 1), candidate("large", 1)
    large = replace(large, inputs=InputSpec(shapes=((4, 64, 64),)))
    with pytest.raises(UsageError, match="large takes 4x64x64, but small takes 4x8x8"):
        bench([small, large], backend="onnxruntime", options=SessionOptions(threads=1))


def test_the_document_holds_shape_and_precision(candidate: MakeCandidate) -> None:
    model = replace(candidate("m", 1), precision="int8")
    settings = MeasureSettings(budget_s=0.01)
    report = bench(
        [model], backend="onnxruntime", options=SessionOptions(threads=1), batches=[1], settings=settings
    )
    (result,) = json.loads(json.dumps(report_to_json(report)))["results"]
    assert result["settings"]["shapes"] == [[4, 8, 8]]
    assert result["settings"]["precision"] == "int8"
