"""Open models, ready to be called, and what is known of how they run."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench.candidates import Candidate
from bench.feeds import Feeds
from bench.job import Job
from bench.measure import Call
from bench.readings import thread_placements
from export.backends import Backend, SessionOptions, Spinning


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A job that was checked.

    Attributes:
        job: what is asked for.
        backend: runtime.
        feeds: what models are fed.
        environment: machine and versions.
    """

    job: Job
    backend: Backend
    feeds: Feeds
    environment: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """An open model.

    Attributes:
        model: which.
        call: runs it once on what it is fed.
        spinning: what its idle threads do after a call.
        placement: CPUs of each thread that opening it started.
    """

    model: Candidate
    call: Call
    spinning: Spinning
    placement: tuple[str, ...]

    def settings(self, run: Run, batch: int) -> dict[str, Any]:
        """Return how it runs, as fields that settings of every mode have."""
        return {
            "backend": run.backend.name, "device": run.job.options.device, "precision": self.model.precision,
            "threads": run.job.options.threads, "batch": batch, "seed": run.job.seed,
            "shapes": self.model.inputs.shapes, "spinning": self.spinning, "placement": self.placement,
        }  # fmt: skip


@contextlib.contextmanager
def opened_together(run: Run, models: Sequence[Candidate], batch: int) -> Iterator[list[Ready]]:
    """Open models that take turns; of several, idle threads must not take the cores of the one that is next.

    Raises:
        UsageError: a bad file, or another number of inputs than it has shapes.
        BackendMissingError: the device is not usable.
    """
    options = replace(run.job.options, spinning="stopped" if len(models) > 1 else "default")
    with contextlib.ExitStack() as stack:
        yield [_ready(stack, run, model, batch, options) for model in models]


def _ready(
    stack: contextlib.ExitStack, run: Run, model: Candidate, batch: int, options: SessionOptions
) -> Ready:
    before = thread_placements()
    session = stack.enter_context(model.opened(run.backend, options))
    started = {number: cpus for number, cpus in thread_placements().items() if number not in before}
    return Ready(
        model=model,
        call=run.feeds.call(session, model, batch),
        spinning=session.spinning,
        placement=tuple(started.values()),
    )
