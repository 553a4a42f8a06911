"""What is drawn lies where the detections are, and nowhere else."""

import numpy as np
import pytest
import torch
from torch import Tensor

from detection.drawing import SKELETON, beside, captioned, draw, usual_names
from detection.types import Detections

HEIGHT, WIDTH = 60, 80
NAMES = ("nothing", "cat", "dog")


def canvas(height: int = HEIGHT, width: int = WIDTH) -> Tensor:
    return torch.full((3, height, width), 128, dtype=torch.uint8)


def boxes(*rows: tuple[float, ...], scores: tuple[float, ...] | None = None, label: int = 1) -> Detections:
    return Detections(
        boxes=np.array(rows, dtype=np.float32).reshape(-1, 4),
        scores=np.array(scores or [0.9] * len(rows), dtype=np.float32),
        labels=np.full(len(rows), label, dtype=np.int64),
    )


def changed(picture: Tensor, before: Tensor | None = None) -> Tensor:
    """Return (height, width): where a picture differs from the canvas."""
    return (picture != (canvas(*picture.shape[1:]) if before is None else before)).any(dim=0)


def test_a_box_is_outlined_and_named_within_its_own_area() -> None:
    before = canvas()
    marks = changed(draw(before, boxes((20, 10, 70, 50)), NAMES))
    assert torch.equal(before, canvas()), "the image itself was drawn on"
    assert marks[10, 20:71].all()
    assert marks[50, 20:71].all()
    assert marks[10:51, 20].all()
    assert marks[10:51, 70].all()
    assert marks[13:25, 23:60].any(), "no text"
    assert not marks[30:48, 23:68].any(), "the inside is filled"
    outside = marks.clone()
    outside[10:51, 20:71] = False
    assert not outside.any()


def test_name_and_score_are_what_is_written() -> None:
    one = boxes((0, 0, 79, 59))
    cat, dog = (draw(canvas(), one, names) for names in (NAMES, ("nothing", "dog", "cat")))
    assert not torch.equal(cat, dog)
    surer = draw(canvas(), boxes((0, 0, 79, 59), scores=(0.95,)), NAMES)
    assert not torch.equal(cat, surer)
    assert torch.equal(cat, draw(canvas(), boxes((0, 0, 79, 59), scores=(0.901,)), NAMES)), "two digits"


def test_labels_have_colours_of_their_own() -> None:
    first, second = (draw(canvas(), boxes((0, 0, 40, 40), label=label), NAMES)[:, 0, 0] for label in (1, 2))
    assert not torch.equal(first, second)


@pytest.mark.parametrize(
    "found", [boxes(), boxes((5, 5, 40, 40), scores=(0.49,)), boxes((5, 5, 40, 40), scores=(float("nan"),))]
)
def test_nothing_sure_leaves_a_copy(found: Detections) -> None:
    before = canvas()
    picture = draw(before, found, NAMES)
    assert torch.equal(picture, before)
    assert picture.data_ptr() != before.data_ptr()


def test_the_threshold_keeps_its_own_score() -> None:
    assert changed(draw(canvas(), boxes((5, 5, 40, 40), scores=(0.5,)), NAMES)).any()


@pytest.mark.parametrize(
    "box",
    [
        (-50, -50, 500, 500),
        (79.9, 59.9, 80, 60),
        (40, 30, 40, 30),
        (200, 200, 300, 300),
        (30, 30, 10, 10),
        (0, 0, float("inf"), float("inf")),
        (float("nan"), 0, float("nan"), 10),
    ],
)
@pytest.mark.parametrize("size", [(HEIGHT, WIDTH), (1, 1), (2, 90)])
def test_boxes_beyond_the_image_and_tiny_ones_are_drawn(
    box: tuple[float, ...], size: tuple[int, int]
) -> None:
    picture = draw(canvas(*size), boxes(box), NAMES)
    assert picture.shape == (3, *size)
    assert changed(picture).any()


def test_a_box_to_the_border_shows_all_its_sides() -> None:
    marks = changed(draw(canvas(), boxes((10, 10, WIDTH, HEIGHT)), NAMES))
    assert marks[10:, WIDTH - 1].all()
    assert marks[HEIGHT - 1, 10:].all()


def test_a_mask_tints_its_pixels() -> None:
    mask = np.zeros((2, HEIGHT, WIDTH), dtype=bool)
    mask[0, 40:50, 30:60] = True
    mask[1] = True  # belongs to a detection that is too weak
    found = boxes((20, 10, 70, 55), (0, 0, 79, 59), scores=(0.9, 0.1))
    plain = draw(canvas(), found, NAMES)
    masked = Detections(boxes=found.boxes, scores=found.scores, labels=found.labels, masks=mask)
    marks = changed(draw(canvas(), masked, NAMES), plain)
    assert torch.equal(marks, torch.from_numpy(mask[0]))


def person(points: np.ndarray) -> Detections:
    one = boxes((0, 0, 79, 59))
    return Detections(
        boxes=one.boxes, scores=one.scores, labels=one.labels, keypoints=points[None].astype(np.float32)
    )


def test_a_skeleton_joins_visible_points() -> None:
    """Only both shoulders and one elbow are visible: two of the skeleton's pairs are lines."""
    points = np.zeros((17, 3))
    points[5], points[6], points[7] = (20, 30, 1), (60, 30, 1), (20, 50, 1)
    points[8] = (60, 50, 0)
    assert {(5, 6), (5, 7), (6, 8)} <= set(SKELETON)
    marks = changed(draw(canvas(), person(points), NAMES), draw(canvas(), boxes((0, 0, 79, 59)), NAMES))
    assert marks[30, 18:63].all(), "shoulder to shoulder"
    assert marks[30:51, 20].all(), "shoulder to elbow"
    assert not marks[35:, 58:63].any(), "a line to an invisible elbow"
    assert not marks[:10].any(), "invisible points lie at the origin"


def test_points_of_another_kind_are_not_joined() -> None:
    points = np.array([[20, 40, 1], [60, 40, 1]])
    marks = changed(draw(canvas(), person(points), NAMES), draw(canvas(), boxes((0, 0, 79, 59)), NAMES))
    assert marks[40, 20]
    assert marks[40, 60]
    assert not marks[:, 30:50].any()


def test_a_caption_grows_with_the_image_and_may_be_wider_than_it() -> None:
    heights = [changed(captioned(canvas(side, side), "FPS")).any(dim=1).sum().item() for side in (100, 1000)]
    assert 10 < heights[0] < 25
    assert heights[1] > 1.8 * heights[0]
    assert captioned(canvas(1, 1), "a long text").shape == (3, 1, 1)
    assert not torch.equal(captioned(canvas(), "1"), captioned(canvas(), "2"))


def test_pictures_beside_each_other_are_kept_apart() -> None:
    left, right = canvas(), torch.zeros_like(canvas()) + 7
    both = beside([left, right])
    assert torch.equal(both[..., :WIDTH], left)
    assert torch.equal(both[..., -WIDTH:], right)
    assert not both[..., WIDTH:-WIDTH].any()
    assert both.shape[2] > 2 * WIDTH
    assert torch.equal(beside([left]), left)


def test_published_models_have_names_and_others_numbers() -> None:
    assert usual_names(91, "boxes")[18] == "dog"
    assert usual_names(2, "keypoints")[1] == "person"
    assert usual_names(2, "boxes") == ("0", "1"), "one class of one's own is no person"
    assert usual_names(3, "masks") == ("0", "1", "2")


def test_names_are_one_line_of_text_in_a_picture() -> None:
    one = boxes((0, 0, 79, 59))
    for name, shown in (("a\nb", r"a\x0ab"), ("\x1b[2J\u2028", r"\x1b[2J\u2028"), ("\udcff", r"\udcff")):
        hostile, literal = (draw(canvas(), one, ("nothing", word)) for word in (name, shown))
        assert torch.equal(hostile, literal)
        caption, expected = (captioned(canvas(100, 200), word) for word in (name, shown))
        assert torch.equal(caption, expected)
        assert not torch.equal(expected, captioned(canvas(100, 200), ""))
    endless = draw(canvas(), one, ("nothing", "x" * 10**6))
    assert not torch.equal(endless, canvas())
