"""The deployable detector: one graph of fixed shapes, from a letterboxed image to its detections."""

from detection.static.detector import StaticDetector
from detection.static.settings import StaticSettings

__all__ = ["StaticDetector", "StaticSettings"]
