"""What pruning gives on a GPU: ``python -m bench.studies.gpu.run``.

Made for a machine that is lent for minutes. It needs PyTorch, torchvision (with numpy and Pillow, which
torchvision brings) and this checkout, from whose root it is started; nothing has to be installed. What a bare
machine with PyTorch lacks is pydantic: the wheels pydantic, annotated-types and typing-inspection, which are
pure Python, and pydantic-core, which is compiled. Where there is a network, for the lent machine's Python:

    pip download pydantic --only-binary :all: --python-version 3.12 --dest wheels

and on the lent machine, from the root of the checkout:

    pip install --no-index --find-links wheels --target beside pydantic
    PYTHONPATH=beside python -m bench.studies.gpu.run

ONNX Runtime (with onnx and onnxscript) and TensorRT take part where they are installed. Cells come in order
of value. Each is written to the results when it is finished, and the study ends before its budget does; the
same command goes on where it ended. The small form, ``--tiny --device cpu``, takes seconds.
"""

import argparse
import contextlib
import gc
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import torch

from bench.studies.common.results import results_of
from bench.studies.gpu.cells import Cell, all_cells, tiny_cells
from bench.studies.gpu.files import missing
from bench.studies.gpu.machine import clocks, machine
from bench.studies.gpu.measuring import measured, settings_for
from bench.studies.gpu.page import text
from bench.studies.gpu.record import FAILED, MEASURED, Record
from compressor.base.errors import CompressError


class OutOfTimeError(BaseException):
    """The budget ended inside a cell; no library that catches every `Exception` may keep it."""


def main() -> int:
    """Measure what fits into the budget; 1 where a cell failed or a result differs from the CPU's."""
    arguments = _arguments()
    start = time.monotonic()
    device = torch.device(arguments.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        print(
            "there is no GPU that PyTorch can use; for the small form: --tiny --device cpu", file=sys.stderr
        )
        return 5
    record = Record.opened(
        arguments.output, machine(device), {"seconds": arguments.seconds, "tiny": arguments.tiny}
    )
    record.saw("before", clocks())
    cells = tiny_cells() if arguments.tiny else all_cells()
    chosen = [cell for cell in cells if any(words in cell.key for words in arguments.only)]
    with contextlib.suppress(OutOfTimeError), ending_at(start + arguments.budget):
        for cell in record.todo(chosen):
            attempt(cell, device, record, arguments.seconds, start + arguments.budget)
    record.saw("after", clocks())
    shown = text(record.document)
    arguments.output.with_suffix(".md").write_text(shown)
    print(shown)
    return _verdict(record, chosen)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N or cpu")
    parser.add_argument("--budget", type=float, default=450.0, help="seconds after which the study has ended")
    parser.add_argument("--seconds", type=float, default=1.0, help="timed seconds per form in each cell")
    parser.add_argument("--only", nargs="+", default=[""], help="cells whose name contains one of these")
    parser.add_argument("--tiny", action="store_true", help="one tiny model")
    parser.add_argument("--output", type=Path, default=results_of("gpu"), help="results; the table is beside")
    return parser.parse_args()


def attempt(cell: Cell, device: torch.device, record: Record, seconds: float, deadline: float) -> None:
    """Measure a cell if it can be and fits, and keep what became of it."""
    reason = missing(cell, device)
    left_s, expected_s = deadline - time.monotonic(), record.expected_s(cell)
    if reason is None and expected_s > left_s:
        reason = f"it may take {expected_s:.0f} s, and {left_s:.0f} s were left"
    if reason is not None:
        record.put(cell, "left out", 0.0, reason=reason)
        return
    print(f"{left_s:4.0f} s left: {cell.key}", flush=True)
    start = time.monotonic()
    try:
        forms = measured(cell, device, settings_for(seconds))
    except OutOfTimeError:
        record.put(cell, "left out", time.monotonic() - start, reason="the budget ended inside it")
        raise
    except Exception as error:  # of drivers, compilers and runtimes: the other cells go on
        words = error.message if isinstance(error, CompressError) else f"{type(error).__name__}: {error}"
        record.put(cell, FAILED, time.monotonic() - start, reason=words.replace("\n", " ")[:500])
    else:
        record.put(cell, MEASURED, time.monotonic() - start, forms=forms)
    _tidy(device)


def _tidy(device: torch.device) -> None:
    """Give memory back, and forget what was compiled."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    if "torch._dynamo" in sys.modules:
        torch.compiler.reset()


def _verdict(record: Record, chosen: list[Cell]) -> int:
    entries = [record.document["cells"].get(cell.key, {}) for cell in chosen]
    failed = any(entry.get("status") == FAILED for entry in entries)
    forms = (form for entry in entries for form in entry.get("forms", {}).values())
    apart = any(form["parity"] and not form["parity"]["passed"] for form in forms)
    return int(failed or apart)


@contextlib.contextmanager
def ending_at(deadline: float) -> Iterator[None]:
    """Raise `OutOfTimeError` at a moment of ``time.monotonic``, inside whatever Python code runs then."""

    def end(number: int, frame: FrameType | None) -> None:
        raise OutOfTimeError

    signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, max(0.01, deadline - time.monotonic()))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


if __name__ == "__main__":
    sys.exit(main())
