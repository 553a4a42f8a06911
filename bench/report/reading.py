"""From paths to results: what each one is, and what it says."""

import hashlib
from pathlib import Path
from typing import Any, Final

from bench.report.facts import Result
from bench.report.kinds import RESULTS
from compressor.base.documents import MOST_BYTES, parse_json, read_bounded
from compressor.base.errors import ArtifactError, CompressError, UsageError
from compressor.base.text import foreign

MANIFEST: Final = "manifest.json"
_LEAST, _MOST = 1e-60, 1e60
_HINT: Final = "give documents of compress (--json, --save, -o) and artifact folders."


def read_result(path: Path) -> Result:
    """Return what a document or an artifact folder says.

    Raises:
        ArtifactError: it cannot be read, or is damaged.
        UsageError: it is no kind of result that a report knows.
    """
    file = path / MANIFEST if path.is_dir() else path
    content = read_bounded(file, MOST_BYTES, _HINT)
    document = parse_json(content, foreign(file), _HINT)
    _check_figures(document, path)
    kind = kind_of(document, path)
    try:
        facts = RESULTS.get(kind).facts(document, path)
    except CompressError as error:
        raise type(error)(_named(error.message, path), error.hint) from error
    return Result(
        where=str(path), kind=kind, sha256=hashlib.sha256(content).hexdigest(), facts=facts,
        document=document,
    )  # fmt: skip


def _check_figures(document: Any, path: Path) -> None:
    """Refuse figures that nobody measured and that no axis can hold."""
    inside = [document]
    while inside:
        value = inside.pop()
        if isinstance(value, dict | list):
            inside += value.values() if isinstance(value, dict) else value
        elif isinstance(value, int | float) and value and not _LEAST < abs(value) < _MOST:
            raise ArtifactError(f"{foreign(path)}: {foreign(value, 40)} is no figure of a result", _HINT)


def kind_of(document: Any, path: Path) -> str:
    """Return the name of the kind that a document is of.

    Raises:
        UsageError: it is of none, or of several.
    """
    claimed = [name for name in RESULTS if isinstance(document, dict) and RESULTS.get(name).claims(document)]
    if len(claimed) == 1:
        return claimed[0]
    known = ", ".join(f"{name} ({RESULTS.get(name).made_by})" for name in RESULTS)
    raise UsageError(f"{foreign(path)} is no result that a report knows", f"known are {known}.")


def _named(message: str, path: Path) -> str:
    """Return a message that says where; readers of documents know no file."""
    where = foreign(path)
    return message if where in message else f"{where}: {message}"
