"""Accuracy at equal latency, for several ways to spread a cut."""
