"""Files from outside, damaged in every way: refused with three parts, or read as what they were.

Memory is bounded by the system, so that a number in a file cannot take all of it. The long form is
``python -m bench.fuzz``.
"""

import random
import resource
from collections.abc import Iterator

import pytest

from bench.fuzz import KINDS, Subject, trial

TRIALS = 80


@pytest.fixture(autouse=True, scope="module")
def _bounded_memory() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (24 * 2**30, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.fixture(scope="module")
def subjects(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Subject]:
    return {kind: make(tmp_path_factory.mktemp("fuzz")) for kind, make in KINDS.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_refused_or_changes_nothing(subjects: dict[str, Subject], kind: str) -> None:
    generator = random.Random(kind)
    outcomes = [trial(subjects[kind], generator) for _ in range(TRIALS)]
    assert [found for found in outcomes if found not in ("refused", "same")] == []
    assert "refused" in outcomes
