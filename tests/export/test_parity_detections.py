"""Detections are matched, not compared row by row; a wrong box, label or score is found."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from compressor.base.errors import ParityError
from compressor.zoo.inputs import InputSpec
from detection.parity.rows import MATCH_LIMITS, compare_detections

INPUTS = InputSpec(shapes=((3, 64, 64), (2,)), ranges=((0.0, 1.0), (32.0, 64.0)))
Outputs = dict[str, np.ndarray]


class Fake:
    """A session that finds ten boxes in a row in every image, and then changes what it found."""

    input_names = ("input_0", "input_1")
    output_names = ("num_detections", "boxes", "scores", "labels")
    device = "cpu"

    def __init__(self, change: Callable[[Outputs], Outputs] = lambda outputs: outputs) -> None:
        self.change = change

    def run(self, feed: dict[str, np.ndarray]) -> Outputs:
        batch = len(feed["input_0"])
        corners = np.arange(10, dtype=np.float32)[:, None] * 6 + np.array([0, 0, 5, 5], dtype=np.float32)
        outputs = {
            "num_detections": np.full(batch, 10),
            "boxes": np.repeat(corners[None], batch, axis=0),
            "scores": np.repeat(np.linspace(0.9, 0.1, 10, dtype=np.float32)[None], batch, axis=0),
            "labels": np.ones((batch, 10), dtype=np.int64),
        }
        return self.change(outputs)

    def __enter__(self) -> "Fake":
        return self

    def __exit__(self, *_: object) -> None: ...


def moved(name: str, row: int, by: float) -> Callable[[Outputs], Outputs]:
    def change(outputs: Outputs) -> Outputs:
        outputs[name][:, row] += np.array(by).astype(outputs[name].dtype)
        return outputs

    return change


def swapped(outputs: Outputs) -> Outputs:
    order = [1, 0, *range(2, 10)]
    return {name: value if value.ndim == 1 else value[:, order] for name, value in outputs.items()}


def test_equal_detections_in_another_order_agree() -> None:
    report = compare_detections(Fake(), Fake(swapped), INPUTS, batches=(1, 2))
    assert report.detections == 30
    assert report.max_relative_difference == 0
    assert "0.00% of 30 detections differ" in report.describe()


@pytest.mark.parametrize("change", [("boxes", 3, 2.0), ("labels", 3, 1), ("scores", 3, 0.01)])
def test_one_wrong_row_in_ten_is_too_many(change: tuple[str, int, Any]) -> None:
    with pytest.raises(ParityError, match=r"6 of 60 detections differ .*10\.00%"):
        compare_detections(Fake(), Fake(moved(*change)), INPUTS, batches=(1, 1, 1, 1, 2))
    loose = replace(MATCH_LIMITS["fp32"], unmatched=0.2)
    report = compare_detections(Fake(), Fake(moved(*change)), INPUTS, batches=(1,), limit=loose)
    assert report.max_relative_difference == pytest.approx(0.1)


def test_few_detections_at_the_threshold_may_come_and_go_in_lower_precision() -> None:
    gone = moved("labels", 3, 1)
    report = compare_detections(Fake(), Fake(gone), INPUTS, batches=(1, 1), limit=MATCH_LIMITS["fp16"])
    assert report.detections == 20
    tight = replace(MATCH_LIMITS["fp16"], unmatched=0.05)
    with pytest.raises(ParityError, match="3 of 30"):
        compare_detections(Fake(), Fake(gone), INPUTS, batches=(1, 1, 1), limit=tight)


@pytest.mark.parametrize("precision", MATCH_LIMITS)
def test_a_file_that_agrees_in_nothing_is_refused_however_little_there_is(precision: str) -> None:
    def one(change: Callable[[Outputs], Outputs]) -> Callable[[Outputs], Outputs]:
        def cut(outputs: Outputs) -> Outputs:
            outputs = change(outputs)
            outputs["scores"][:, 1:] = 0
            return {**outputs, "num_detections": np.array([1])}

        return cut

    same, other = one(lambda outputs: outputs), one(moved("labels", 0, 1))
    limit = MATCH_LIMITS[precision]
    assert compare_detections(Fake(same), Fake(same), INPUTS, batches=(1,), limit=limit).detections == 1
    with pytest.raises(ParityError, match="1 of 1 detections differ"):
        compare_detections(Fake(same), Fake(other), INPUTS, batches=(1,), limit=limit)


def test_nothing_found_is_no_proof() -> None:
    def nothing(outputs: Outputs) -> Outputs:
        return {name: np.zeros_like(values) for name, values in outputs.items()}

    with pytest.raises(ParityError, match="the comparison saw nothing"):
        compare_detections(Fake(nothing), Fake(nothing), INPUTS)


def test_other_outputs_are_refused() -> None:
    def renamed(outputs: Outputs) -> Outputs:
        return {**outputs, "more": outputs["scores"]}

    with pytest.raises(ParityError, match="more"):
        compare_detections(Fake(), Fake(renamed), INPUTS)
