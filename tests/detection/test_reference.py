"""Matching finds what agrees and nothing else."""

import numpy as np

from detection.reference import match


def detections(boxes: list[list[float]], scores: list[float], labels: list[int]) -> dict[str, np.ndarray]:
    return {
        "boxes": np.array(boxes, dtype=np.float32).reshape(-1, 4),
        "scores": np.array(scores, dtype=np.float32),
        "labels": np.array(labels, dtype=np.int64),
    }


REFERENCE = detections([[0, 0, 100, 100], [50, 50, 150, 90], [5, 5, 30, 30]], [0.9, 0.8, 0.7], [1, 2, 3])


def test_identical_lists_match_in_any_order() -> None:
    turned = {name: value[::-1] for name, value in REFERENCE.items()}
    report = match(REFERENCE, turned)
    assert (report.matched, report.share, report.max_box_error_px, report.max_score_error) == (3, 1.0, 0, 0)


def test_a_label_a_box_or_a_score_that_differs_does_not_match() -> None:
    for other in (
        detections([[0, 0, 100, 100]], [0.9], [2]),
        detections([[0, 0, 100, 90]], [0.9], [1]),
        detections([[0, 0, 100, 100]], [0.902], [1]),
    ):
        assert match(REFERENCE, other).matched == 0


def test_errors_are_those_of_the_pairs() -> None:
    found = detections([[0, 0, 100.25, 100], [5, 5, 30, 30]], [0.9005, 0.7], [1, 3])
    report = match(REFERENCE, found)
    assert (report.reference, report.found, report.matched) == (3, 2, 2)
    assert report.share == 2 / 3
    assert report.max_box_error_px == 0.25
    np.testing.assert_allclose(report.max_score_error, 0.0005, rtol=1e-3)


def test_one_box_answers_for_one_reference_only() -> None:
    twice = detections([[0, 0, 10, 10]] * 2, [0.5, 0.5], [1, 1])
    once = detections([[0, 0, 10, 10]], [0.5], [1])
    assert match(twice, once).matched == match(once, twice).matched == 1


def test_nothing_agrees_with_nothing() -> None:
    empty = detections([], [], [])
    assert match(empty, empty).share == 1.0
    assert match(REFERENCE, empty).share == 0.0
