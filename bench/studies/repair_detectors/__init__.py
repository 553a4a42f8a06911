"""Detectors cut to half of their MACs, and repaired."""
