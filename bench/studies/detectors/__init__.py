"""Detectors, pruned in several ways, in ONNX Runtime."""
