"""Detectors: reserved for torchvision R-CNN support."""
