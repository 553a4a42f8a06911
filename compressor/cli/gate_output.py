"""Where a gate's result goes: JUnit, Markdown, the summary of a workflow, stdout, and the exit code."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.gate.report import Check, junit, markdown_table
from compressor.base.documents import Json
from compressor.base.errors import GateFailedError
from compressor.base.files import write_whole, writing
from compressor.cli import output


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """What the user wants written.

    Attributes:
        junit: file for JUnit's XML.
        markdown: file for a table.
        json: whether stdout gets a document instead of a table.
    """

    junit: Path | None
    markdown: Path | None
    json: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of a gate.

    Attributes:
        title: both sides in words.
        checks: everything that was gated.
        document: figures for programs; verdict and checks are added.
        remarks: lines for people, below the table.
    """

    title: str
    checks: tuple[Check, ...]
    document: Json
    remarks: Sequence[str] = ()

    @property
    def failed(self) -> tuple[Check, ...]:
        """What fails the build."""
        return tuple(check for check in self.checks if check.outcome == "fail")


def finish(result: Result, outputs: Outputs) -> None:
    """Write and print a result.

    Raises:
        GateFailedError: a check failed; every report was written before.
    """
    _write(result, outputs)
    if outputs.json:
        output.print_json(_document(result))
    else:
        rows = [(check.name, check.outcome, check.words) for check in result.checks]
        output.show(output.table(("check", "result", "figures"), rows, result.title), *result.remarks)
    if result.failed:
        words = "; ".join(f"{check.name}: {check.words}" for check in result.failed)
        raise GateFailedError(words, "make the model faster, or allow more where that is meant.")


def _write(result: Result, outputs: Outputs) -> None:
    if outputs.junit:
        write_whole(outputs.junit, junit(result.checks, result.title))
    table = markdown_table(result.checks, result.title)
    if outputs.markdown:
        write_whole(outputs.markdown, table)
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if summary:
        with writing(Path(summary)), Path(summary).open("a", encoding="utf-8") as file:
            file.write(table + "\n")


def _document(result: Result) -> Json:
    return result.document | {
        "verdict": "fail" if result.failed else "pass",
        "checks": [
            {"name": check.name, "outcome": check.outcome, "words": check.words} for check in result.checks
        ],
    }
