"""Decoding with NumPy gives what torchvision's own functions give, and needs nothing else of ours."""

import ast
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.models.detection.roi_heads import heatmaps_to_keypoints, paste_masks_in_image

import detection.postprocess
from detection.postprocess import decode, paste_masks, read_keypoints


def random_boxes(count: int, rows: int, columns: int, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    corners = generator.random((count, 2, 2), dtype=np.float32) * [columns, rows]
    return np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1).astype(np.float32)


EDGE_BOXES = np.array(
    [
        [0, 0, 90, 60],
        [0, 0, 0.5, 0.5],
        [89.5, 59.5, 90, 60],
        [0, 10, 90, 10.2],
        [3, 3, 3, 3],
        [80, 0, 90, 60],
    ],
    dtype=np.float32,
)


def test_masks_are_pasted_as_by_torchvision() -> None:
    boxes = np.concatenate([random_boxes(40, 60, 90), EDGE_BOXES])
    masks = np.random.default_rng(1).random((len(boxes), 28, 28), dtype=np.float32)
    expected = paste_masks_in_image(torch.from_numpy(masks)[:, None], torch.from_numpy(boxes), (60, 90))
    expected = (expected[:, 0] > 0.5).numpy()
    found = paste_masks(masks, boxes, (60, 90))
    assert found.dtype == bool
    assert found.any(axis=(1, 2)).sum() >= 40
    assert (found != expected).sum() <= 1e-4 * expected.sum()  # probabilities that round to one half


def test_keypoints_are_read_as_by_torchvision() -> None:
    boxes = np.concatenate([random_boxes(10, 60, 90), EDGE_BOXES])
    maps = np.random.default_rng(2).normal(size=(len(boxes), 5, 56, 56)).astype(np.float32)
    expected, expected_scores = heatmaps_to_keypoints(torch.from_numpy(maps), torch.from_numpy(boxes))
    points, scores = read_keypoints(maps, boxes)
    np.testing.assert_allclose(points, expected.numpy(), atol=1e-3)
    np.testing.assert_allclose(scores, expected_scores.numpy(), atol=1e-4)


def outputs() -> dict[str, np.ndarray]:
    """Two images of a canvas of 40 x 80; the second has three detections, of which two score well."""
    boxes = np.zeros((2, 5, 4), dtype=np.float32)
    boxes[1, :3] = [[8, 4, 40, 20], [0, 0, 80, 40], [1, 1, 2, 2]]
    scores = np.zeros((2, 5), dtype=np.float32)
    scores[1, :3] = [0.9, 0.5, 0.05]
    labels = np.zeros((2, 5), dtype=np.int64)
    labels[1, :3] = [7, 3, 1]
    return {
        "num_detections": np.array([0, 3]),
        "boxes": boxes,
        "scores": scores,
        "labels": labels,
        "masks": np.ones((2, 5, 28, 28), dtype=np.float32),
        "heatmaps": np.random.default_rng(3).normal(size=(2, 5, 4, 56, 56)).astype(np.float32),
    }


def test_decode_undoes_the_letterbox_and_applies_the_threshold() -> None:
    found = decode(outputs(), 1, (0.5, 0.8), (80, 100), threshold=0.1)
    np.testing.assert_allclose(found["boxes"], [[10, 8, 50, 40], [0, 0, 100, 80]], rtol=1e-6)
    np.testing.assert_allclose(found["scores"], [0.9, 0.5])
    assert found["labels"].tolist() == [7, 3]
    assert found["masks"].shape == (2, 80, 100)
    assert found["masks"][0, 10:38, 12:48].all()
    assert not found["masks"][0, :, 53:].any()
    points = found["keypoints"]
    assert points.shape == (2, 4, 3)
    assert (points[0, :, 0] >= 10).all()
    assert (points[0, :, 0] <= 50).all()
    assert (points[..., 2] == 1).all()
    assert found["keypoint_scores"].shape == (2, 4)


def test_an_empty_image_has_empty_arrays() -> None:
    found = decode(outputs(), 0, (0.5, 0.8), (80, 100))
    shapes = {name: value.shape for name, value in found.items()}
    assert shapes == {
        "boxes": (0, 4),
        "scores": (0,),
        "labels": (0,),
        "masks": (0, 80, 100),
        "keypoints": (0, 4, 3),
        "keypoint_scores": (0, 4),
    }


def test_a_plain_detector_has_neither_masks_nor_keypoints() -> None:
    plain = {name: value for name, value in outputs().items() if name not in ("masks", "heatmaps")}
    assert set(decode(plain, 1, (1.0, 1.0), (40, 80))) == {"boxes", "scores", "labels"}


@pytest.mark.parametrize("module", [detection.postprocess])
def test_the_file_can_be_shipped_alone(module: object) -> None:
    tree = ast.parse(Path(module.__file__).read_text())
    imported = {a.name for node in ast.walk(tree) if isinstance(node, ast.Import) for a in node.names}
    imported |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported <= {"collections.abc", "typing", "numpy", "numpy.typing"}
