"""What a detector finds in one image."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Detections:
    """Objects in one image, best first, in pixels of the image as it was given.

    Attributes:
        boxes: float32 of shape (n, 4): left, top, right, bottom.
        scores: float32 of shape (n,), 0..1.
        labels: int64 of shape (n,); 0 is the background and never appears.
        masks: bool of shape (n, height, width), or None where the model finds none.
        keypoints: float32 of shape (n, points, 3): x, y, visible; or None.
        keypoint_scores: float32 of shape (n, points), or None.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    labels: NDArray[np.int64]
    masks: NDArray[np.bool_] | None = None
    keypoints: NDArray[np.float32] | None = None
    keypoint_scores: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.scores)
