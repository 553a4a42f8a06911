"""One-off studies: a folder each, with what it runs, its results, and its section of ``bench/README.md``.

They are not installed. Nothing outside imports them, and they share code through `bench.studies.common` only.
"""
