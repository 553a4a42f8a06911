"""Widths chosen by measured latency: how near the target they come, and what they are worth."""
