"""A latency gate for pytest: the fixture ``latency_gate``.

    def test_latency(latency_gate):
        latency_gate("new.onnx", against="old.onnx", max_regression=0.05, threads=2)

It runs ``compress gate`` in a process of its own, with Python's safe path: folders of the tested project that
are called ``bench`` or ``export`` are not in its way.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from os import PathLike
from typing import Any, Final

import pytest

Gate = Callable[..., Mapping[str, Any]]

_FAILED: Final = 3


@pytest.fixture
def latency_gate() -> Gate:
    """Return a function that fails the test where a model is slower than another by more than allowed."""
    return gate


def gate(
    candidate: str | PathLike[str],
    *,
    against: str | PathLike[str],
    max_regression: float = 0.05,
    **options: object,
) -> Mapping[str, Any]:
    """Measure ``candidate`` and fail the test where it is slower than ``against`` by more than allowed.

    Args:
        candidate: exported file, artifact folder, or name.
        against: baseline of the same kind.
        max_regression: share by which it may be slower.
        options: of ``compress gate``, with underscores: ``threads=2``, ``batch="1,8"``, ``max_size="9MB"``,
            ``trust_code=True``.

    Returns:
        The document that ``compress gate --json`` prints.

    Raises:
        RuntimeError: the gate could not be held; its own words say why.
    """
    given = [word for name, value in options.items() for word in _words(name, value)]
    words = ["gate", str(candidate), "--against", str(against), "--max-regression", str(max_regression)]
    command = [sys.executable, "-P", "-m", "compressor", *words, *given, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == _FAILED:
        pytest.fail(done.stderr.strip().splitlines()[-2], pytrace=False)
    if done.returncode:
        raise RuntimeError(done.stderr.strip())
    document: Mapping[str, Any] = json.loads(done.stdout)
    return document


def _words(name: str, value: object) -> list[str]:
    """Return an option as it is typed; of a flag its name alone."""
    option = f"--{name.replace('_', '-')}"
    if isinstance(value, bool):
        return [option] * value
    return [option, str(value)]
