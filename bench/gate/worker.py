"""A process that measures rounds of two models: ``python -P -m bench.gate.worker``.

It reads what to open as one line of JSON, says ``ready`` when both models are warm, measures one round for
each line that it is sent, and ends with its input.
"""

import json
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench.gate.rule import LOOKS
from bench.measure import Call, MeasureSettings, rounds_of
from compressor.base.documents import decode
from compressor.base.errors import CompressError
from compressor.tasks.examples import example_arrays
from compressor.zoo import Trust
from compressor.zoo.inputs import InputSpec
from export.backends import BACKENDS, Session, SessionOptions

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
    backend = BACKENDS.get(work["backend"])
    trust = Trust(factories=frozenset(work["factories"]), everything=work["everything"])
    options = SessionOptions(device=work["device"], threads=work["threads"], trust=trust)
    inputs = decode(InputSpec, work["inputs"], "the gate's input")
    with ExitStack() as stack:
        calls: dict[str, Call] = {}
        for name in ("baseline", "candidate"):
            session = stack.enter_context(backend.open(Path(work[name]), options))
            calls[name] = _Call(session, inputs, work["batch"], work["seed"])
        measured = rounds_of(
            calls, MeasureSettings(budget_s=work["budget_s"]), work["runs"], planned=LOOKS[-1]
        )
        say({"ready": True})
        for line in sys.stdin:
            say({"round": next(measured), "asked": line.strip()})


class _Call:
    """Runs a model once on inputs that are the same for both."""

    def __init__(self, session: Session, inputs: InputSpec, batch: int, seed: int) -> None:
        arrays = example_arrays(inputs, batch, seed=(seed, batch))
        self._session = session
        self._feed = dict(zip(session.input_names, arrays, strict=True))

    def __call__(self) -> object:
        return self._session.run(self._feed)


if __name__ == "__main__":
    main()
