"""What ``compress gate NEW.json --against OLD.json`` does: read, refuse other conditions, compare."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.document import report_from_json
from bench.gate.documents import (
    CONDITIONS,
    Compared,
    Entry,
    Key,
    check_conditions,
    compare,
    differences,
    entries_of,
)
from bench.gate.report import compared_to_json, document_check
from bench.gate.rule import Limits, OnOpen
from bench.statistics import significant
from compressor.base.documents import read_json
from compressor.base.errors import UsageError
from compressor.base.text import foreign
from compressor.cli import output
from compressor.cli.gate_output import Outputs, Result, finish


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One ``compress gate`` on documents, as typed."""

    candidate: str
    baseline: str
    limits: Limits
    on_open: OnOpen
    metrics: tuple[str, ...]
    ignored: tuple[str, ...]
    outputs: Outputs


def run(request: Request) -> None:
    """Carry out a request and print its result.

    Raises:
        GateFailedError: a check failed; every report was written before.
        UsageError: what is no document of a benchmark, or two that were measured differently.
    """
    _check_ignored(request.ignored)
    new, old = _entries(request.candidate), _entries(request.baseline)
    found = differences(new, old)
    check_conditions(found, request.ignored)
    for name, words in found.items():
        output.say(f"ignored as asked: {name}: {words}")
    compared = _compared(request, new, old)
    document = {
        "candidate": request.candidate,
        "baseline": request.baseline,
        "backend": ", ".join(sorted({one.key.backend for one in compared})),
        "ignored": found,
        "latency": {f"{one.key}, {one.metric}": compared_to_json(one) for one in compared},
    }
    result = Result(
        title=f"{request.candidate} against {request.baseline}, ratios of stored documents",
        checks=tuple(document_check(one) for one in compared), document=document,
        remarks=_remarks(request, compared),
    )  # fmt: skip
    finish(result, request.outputs)


def _check_ignored(names: Sequence[str]) -> None:
    for name in names:
        if name not in CONDITIONS:
            raise UsageError(f"--ignore {name!r} is no condition", f"write some of {','.join(CONDITIONS)}.")


def _entries(name: str) -> dict[Key, Entry]:
    document = read_json(Path(name))
    if not isinstance(document, dict) or "results" not in document:
        raise UsageError(
            f"{foreign(name)} is no document of a benchmark",
            "write one with: compress bench BASELINE MODEL -o FILE.",
        )
    return entries_of(report_from_json(document), foreign(name))


def _compared(request: Request, new: dict[Key, Entry], old: dict[Key, Entry]) -> list[Compared]:
    shared = sorted(new.keys() & old.keys())
    if not shared:
        raise UsageError(
            f"no model is in both documents: {', '.join(map(str, new))}; {', '.join(map(str, old))}",
            "measure the same names, backends and batch sizes.",
        )
    return [
        compare(key, new[key], old[key], metric, request.limits, request.on_open)
        for key in shared
        for metric in request.metrics
    ]


def _remarks(request: Request, compared: Sequence[Compared]) -> list[str]:
    if request.candidate != request.baseline:
        return []
    return [
        f"{one.key}, {one.metric}: documents like these can hold a limit of "
        f"{significant(100 * one.detectable)} %, nine times of ten"
        for one in compared
    ]
