"""Is a model slower than another one? A sequential test on rounds that were measured in fresh processes.

``rule`` decides, ``worker`` measures in a process of its own, ``rounds`` starts workers and takes their
rounds in turn, ``judge`` puts them together, ``report`` writes what CI servers read.
"""
