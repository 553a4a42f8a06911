"""A process that measures rounds of two models: ``python -P -m bench.gate.worker``.

It reads what to open as one line of JSON, says ``ready`` when both models are open, measures one round for
each line that it is sent, and ends with its input. It imports what its runtime needs and nothing else: torch
would take most of the time of a short gate, and does not run where a file is served.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bench.gate.rule import LOOKS
from bench.measure import Call, MeasureSettings, rounds_of
from compressor.base.errors import CompressError
from compressor.base.trust import Trust
from export.backends import BACKENDS, SessionOptions

Say = Callable[[Mapping[str, object]], None]


def main() -> None:
    """Measure until the input ends; an error is one line of JSON."""
    say = _channel()
    try:
        _measure(json.loads(sys.stdin.readline()), say)
    except CompressError as error:
        say({"error": error.message, "hint": error.hint, "exit_code": error.exit_code})


def _channel() -> Say:
    """Keep standard output for answers alone; what runtimes print there goes where errors go."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(document: Mapping[str, object]) -> None:
        answers.write(json.dumps(document) + "\n")
        answers.flush()

    return say


def _measure(work: Mapping[str, Any], say: Say) -> None:
    backend = BACKENDS.alone(work["backend"])
    trust = Trust(factories=frozenset(work["factories"]), everything=work["everything"])
    options = SessionOptions(
        device=work["device"], threads=work["threads"], trust=trust, spinning="stopped"
    )  # or one model's idle threads would take time from the other
    with np.load(work["arrays"]) as file:
        arrays = [file[name] for name in file.files]
    with ExitStack() as stack:
        calls: dict[str, Call] = {}
        for name in ("baseline", "candidate"):
            session = stack.enter_context(backend.open(Path(work[name]), options))
            calls[name] = partial(session.run, session.named(arrays))
        say({"ready": True})
        settings = MeasureSettings(budget_s=work["budget_s"])
        measured: Iterator[Mapping[str, object]] | None = None
        for _ in sys.stdin:
            measured = measured or rounds_of(calls, settings, work["runs"], planned=LOOKS[-1])
            say({"round": next(measured)})


if __name__ == "__main__":
    main()
