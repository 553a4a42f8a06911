"""Torchvision's R-CNN detectors: zoo, tracing, COCO data and evaluation, the deployable graph, drawing."""
