"""Criteria compared by accuracy, on ResNet-56."""
