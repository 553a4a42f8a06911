"""Prune a trained CNN, shrink it physically, fine-tune it, and save it without pickles."""

__version__ = "0.1.0"
