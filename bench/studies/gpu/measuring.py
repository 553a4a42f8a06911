"""One cell: all forms of a model open at once, warm, and measured in interleaved rounds."""

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from statistics import median
from typing import Any, Final

import torch
from torch import nn

from bench.measure import Measurement, MeasureSettings, measure
from bench.statistics import speedup, verdict
from bench.studies.gpu import files
from bench.studies.gpu.calls import ENGINES, Timed, inputs_of, placed, rounding_of, training
from bench.studies.gpu.cells import Cell
from bench.studies.gpu.parity import Parity, judged, parity_of
from bench.studies.gpu.subjects import DENSE, Form, forms_of

Row = dict[str, Any]
Blocks = Sequence[Sequence[float]]

_SOAK_S: Final = 0.2
_DIGITS: Final = 4
"""Decimals of a millisecond that are kept; events resolve half a microsecond."""


def settings_for(budget_s: float) -> MeasureSettings:
    """Return how carefully to measure; warm-up goes on until two windows are within 2 %."""
    return MeasureSettings(
        budget_s=budget_s, max_blocks=12, max_runs=40, gap_s=0.005, window=10, tolerance=0.02,
        max_warmup_runs=200,
    )  # fmt: skip


def measured(cell: Cell, device: torch.device, settings: MeasureSettings) -> Row:
    """Return the times of every form, and its speed-up over the dense one by both clocks.

    Raises:
        Exception: whatever a model, a compiler or a driver says; nothing of the cell is kept.
    """
    forms = forms_of(cell.model)
    calls: dict[str, Timed] = {}
    parities: dict[str, Parity | None] = {}
    with rounding_of(cell.precision), contextlib.ExitStack() as stack:
        for name, form in forms.items():
            calls[name], parities[name] = stack.enter_context(_opened(form.module, cell, device))
        for call in calls.values():
            _soak(call)
        found = measure(calls, settings)
        gpu = {name: call.gpu_blocks_ms(found[name], settings) for name, call in calls.items()}
    return {
        name: _row(name, form, found, gpu, parities[name]) for name, form in forms.items()
    }  # fmt: skip


@contextlib.contextmanager
def _opened(module: nn.Module, cell: Cell, device: torch.device) -> Iterator[tuple[Timed, Parity | None]]:
    """Yield a form's call; a training step has nothing to be compared with."""
    if cell.engine in files.NEEDED:
        with files.opened(module, cell, device) as run:
            with torch.no_grad():
                expected = [module(*inputs_of(cell, torch.device("cpu")))]
            found = [torch.from_numpy(a).float() for a in run().values()]
            yield Timed(run, torch.device("cpu")), judged(expected, found, cell)
        return
    moved = placed(module, cell, device)
    if cell.work == "training":
        yield Timed(training(moved, cell, device), device), None
        return
    run_module = ENGINES[cell.engine](moved, cell, device)
    parity = parity_of(module, moved, run_module, cell, device)
    yield Timed(run_module, device), parity


def _soak(call: Timed) -> None:
    """Run for a while, so that the clocks of a GPU rise before anything is compared."""
    end = time.perf_counter() + _SOAK_S
    while time.perf_counter() < end:
        call()


def _row(
    name: str, form: Form, found: Mapping[str, Measurement], gpu: Mapping[str, Blocks], parity: Parity | None
) -> Row:
    wall = {one: measurement.blocks_ms for one, measurement in found.items()}
    return {
        "macs": form.macs,
        "params": form.params,
        "wall": _times(name, wall),
        "gpu": _times(name, gpu) if gpu[name] else None,
        "parity": {**asdict(parity), "passed": parity.passed} if parity else None,
        "warmup_runs": found[name].warmup_runs,
        "notes": list(found[name].notes),
    }


def _times(name: str, blocks_ms: Mapping[str, Blocks]) -> Row:
    mine = blocks_ms[name]
    ratio = None
    if name != DENSE:
        value = speedup(blocks_ms[DENSE], mine, seed=0)
        ratio = {**asdict(value), "verdict": verdict(value)}
    return {
        "p50_ms": median(ms for block in mine for ms in block),
        "speedup": ratio,
        "blocks_ms": [[round(ms, _DIGITS) for ms in block] for block in mine],
    }
