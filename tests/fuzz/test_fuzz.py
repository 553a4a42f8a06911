"""Files from outside, damaged in every way: refused with three parts, or read as what they were.

Memory is bounded by the system, so that a number in a file cannot take all of it. The long form is
``python -m bench.fuzz``.
"""

import random
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.fuzz import KINDS, Subject, trial
from compressor.cli.inspect_cache import DENSE, open_qualities
from compressor.pipeline.files import pipeline_from_tables, read_tables

TRIALS = 80


def _recipe(folder: Path) -> Subject:
    path = folder / "r.toml"
    path.write_text(
        '[model]\narch = "resnet20_cifar"\n[prune]\nmacs = 0.5\n[training]\nepochs = 3\nlr = 0.1\n'
    )

    def read(file: Path) -> None:
        pipeline_from_tables(read_tables(file), where=str(file))

    return Subject(path=path, good=path.read_bytes(), read=read)


def _list(folder: Path) -> Subject:
    path = folder / "plot.jsonl"
    qualities = open_qualities(path, {"model": "m"})
    for key in (DENSE, ("a", 1), ("b", 2)):
        qualities.get(key, lambda: 50.0)

    def read(file: Path) -> None:
        open_qualities(file, {"model": "m"})

    return Subject(path=path, good=path.read_bytes(), read=read)


ALL = {**KINDS, "recipe": _recipe, "list": _list}


@pytest.fixture(autouse=True, scope="module")
def _bounded_memory() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (24 * 2**30, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.fixture(scope="module")
def subjects(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Subject]:
    return {kind: make(tmp_path_factory.mktemp("fuzz")) for kind, make in ALL.items()}


@pytest.mark.parametrize("kind", ALL)
def test_damage_is_refused_or_changes_nothing(subjects: dict[str, Subject], kind: str) -> None:
    generator = random.Random(kind)
    outcomes = [trial(subjects[kind], generator) for _ in range(TRIALS)]
    assert [found for found in outcomes if found not in ("refused", "same")] == []
    assert "refused" in outcomes
