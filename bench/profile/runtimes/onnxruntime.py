"""ONNX Runtime's own profiler, on the CPU.

Its optimiser fuses nodes and renames them: the graph that really ran is written beside the profile, and says
which names of the file stand at a node's ends. The profiler itself costs some microseconds a node.
"""

import itertools
import json
import tempfile
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import onnx
import onnxruntime

from bench.profile.alignment import block_of
from bench.profile.runtimes import PROFILERS, Array, Sampling, Shape, Timed
from compressor.base.errors import UsageError
from compressor.base.text import foreign
from export.onnx_reader import read_onnx
from export.ports import weights_files

_TYPES: Final = {
    "float": "fp32", "float16": "fp16", "bfloat16": "bf16", "double": "fp64", "int8": "int8", "uint8": "int8",
}  # fmt: skip
_BLOCKED: Final = "com.microsoft.nchwc"
_MARKS: Final = ("fused ", "InsertedPrecisionFreeCast_")
_KERNEL: Final = "_kernel_time"
_QUIET: Final = 3
"""ONNX Runtime's level of errors: it warns of what is wanted here, a graph for this machine alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One run of one kernel.

    Attributes:
        call: number of the call, from 0.
        name: of the node in the optimised graph.
        us: microseconds.
        details: what else the profile says of it.
    """

    call: int
    name: str
    us: float
    details: Mapping[str, Any]


class OnnxRuntimeProfiler:
    """Times the nodes of ``.onnx`` files."""

    device = "cpu"

    def multiple(self, precision: str) -> int:
        """Return the channels of a block; 1 where there is no blocked layout, as for fewer bits."""
        return max(1, block_of()) if precision == "fp32" else 1

    def nodes(self, model: Path, feed: Mapping[str, Array], sampling: Sampling) -> tuple[Timed, ...]:
        """Run a file; see `bench.profile.runtimes.Profiler.nodes`."""
        with tempfile.TemporaryDirectory() as folder:
            graph = Path(folder) / "optimised.onnx"
            named = _named(model, Path(folder) / "named.onnx")
            found = list(events(named, feed, replace(sampling, calls=sampling.calls + 1), graph))
            ran = {node.name: node for node in read_onnx(graph).graph.node}
        us: defaultdict[str, list[float]] = defaultdict(lambda: [0.0] * (sampling.calls + 1))
        details: dict[str, Mapping[str, Any]] = {}
        for event in found:
            if event.name in ran:  # nodes of inner graphs are part of the time of the node around them
                us[event.name][event.call] += event.us
                details.setdefault(event.name, event.details)
        return tuple(_timed(ran[name], min(us[name][1:]) / 1e3, about) for name, about in details.items())


PROFILERS.register("onnxruntime")(OnnxRuntimeProfiler())


def events(
    model: Path, feed: Mapping[str, Array], sampling: Sampling, optimised: Path | None = None
) -> Iterator[Event]:
    """Yield every run of every kernel.

    Args:
        model: an ONNX file.
        feed: its input.
        sampling: threads, and how often the file is run.
        optimised: where the graph that runs is written, its weights beside it.

    Raises:
        UsageError: the file does not run.
    """
    with tempfile.TemporaryDirectory() as folder:
        options = _options(Path(folder), sampling.threads, optimised)
        try:
            session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
            for call in range(sampling.calls):
                session.run(None, dict(feed))
                sampling.progress(call + 1, sampling.calls)
        except Exception as error:  # the binding's exceptions have no base class of their own
            raise UsageError(
                f"onnxruntime does not run {foreign(model)}: {foreign(error)}", "export the file again."
            ) from error
        said = json.loads(Path(session.end_profiling()).read_text(errors="replace"))
    starts = sorted(event["ts"] for event in said if event["name"] == "model_run")
    for event in said:
        if event["name"].endswith(_KERNEL):
            call = bisect_right(starts, event["ts"]) - 1
            name = event["name"].removesuffix(_KERNEL)
            yield Event(call=call, name=name, us=event["dur"], details=event["args"])


def plain(name: str) -> str:
    """Return the name that a node had before the optimiser fused it or changed its layout."""
    for mark in _MARKS:
        name = name.removeprefix(mark)
    return name.removesuffix("_nchwc").removesuffix("/GatherSliceToSplitFusion")


def _named(model: Path, copy: Path) -> Path:
    """Return a file whose nodes all have names, by which the profile and the graph that ran are joined.

    Weights in files of their own have to lie beside the graph, which therefore stays as it is.
    """
    read = read_onnx(model)
    if all(node.name for node in read.graph.node) or weights_files(read.graph):
        return model
    taken = {node.name for node in read.graph.node}
    for number, node in enumerate(read.graph.node):
        if not node.name:
            node.name = next(n for n in _numbered(node.op_type, number) if n not in taken)
            taken.add(node.name)
    onnx.save(read, copy)
    return copy


def _numbered(stem: str, number: int) -> Iterator[str]:
    yield from (f"{stem}_{number}{'_' * extra}" for extra in itertools.count())


def _options(folder: Path, threads: int | None, optimised: Path | None) -> Any:
    options = onnxruntime.SessionOptions()
    options.enable_profiling = True
    options.log_severity_level = _QUIET
    options.profile_file_prefix = str(folder / "profile")
    if threads is not None:
        options.intra_op_num_threads = threads
    if optimised is not None:
        options.optimized_model_filepath = str(optimised)
        place = "session.optimized_model_external_initializers_"
        options.add_session_config_entry(f"{place}file_name", f"{optimised.name}.data")
        options.add_session_config_entry(f"{place}min_size_in_bytes", "1024")
    return options


def _timed(node: onnx.NodeProto, ms: float, about: Mapping[str, Any]) -> Timed:
    taken, given = (about.get(f"{side}_type_shape", []) for side in ("input", "output"))
    made = node.op_type != "ReorderInput"  # which gives a value of its own, and takes one of the file's
    ends = [*node.output, *node.input] if made else [*node.input, *node.output]
    return Timed(
        name=node.name,
        kind=node.op_type,
        ms=ms,
        precision=_precision([*taken[:1], *given[:1]]),
        origin=tuple(dict.fromkeys((node.name, plain(node.name), *map(plain, filter(None, ends))))),
        inputs=_shapes(taken),
        outputs=_shapes(given),
        blocked=node.domain == _BLOCKED,
    )


def _precision(ports: list[dict[str, Any]]) -> str:
    """Return what a node computes in: the type of its first input that has floating point or 8 bits."""
    names = [name for port in ports for name in port]
    return next((_TYPES[name] for name in names if name in _TYPES), next(iter(names), ""))


def _shapes(ports: list[dict[str, list[int]]]) -> tuple[Shape, ...]:
    return tuple(tuple(shape) for port in ports for shape in port.values())
