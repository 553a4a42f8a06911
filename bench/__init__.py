"""Measuring: interleaved timing, statistics of ratios, the environment of a run."""
