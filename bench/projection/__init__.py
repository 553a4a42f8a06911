"""Projections: what a device that is not here would need, from what it can compute and move.

A projection is no measurement. It has documents and tables of its own, and no reader of measurements takes
them.
"""
