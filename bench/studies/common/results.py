"""Where studies keep what they found."""

from pathlib import Path
from typing import Final

_STUDIES: Final = Path(__file__).parents[1]


def results_of(study: str) -> Path:
    """Return the file with a study's results, whether or not it is there yet."""
    return _STUDIES / study / "results.json"
