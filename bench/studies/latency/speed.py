"""Speed at equal multiply-adds: ResNet-50 at those of two published rows, spread in several ways."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from torch import nn

from bench.candidates import candidate
from bench.document import report_to_json
from bench.layers.here import here
from bench.layers.make import measured_table
from bench.layers.price import Latency
from bench.measure import MeasureSettings
from bench.run import bench
from bench.studies.common.cells import say
from bench.studies.common.exported import exported
from bench.studies.common.published import STRINGS
from bench.studies.common.torch_pruning import pruned_by_torch_pruning
from bench.studies.latency.cells import Cell, Row, dense
from compressor.artifact import Artifact
from compressor.channels.cost import macs_of
from compressor.methods import method_of, prune
from compressor.rates import Budget, PruneRequest, Published
from export.backends import BACKENDS, SessionOptions

MODEL: Final = "resnet50"
_SECONDS: Final = 12.0
_BISECTIONS: Final = 12


def cells(threads: int) -> Iterator[Cell]:
    """Return one point per number of threads; both rows are in it."""
    yield Cell("speed", MODEL, threads)


def speed(cell: Cell) -> Row:
    """Make and measure all networks of both rows beside the dense one."""
    whole = dense(MODEL)
    with tempfile.TemporaryDirectory() as folder:
        room = Path(folder)
        backend = BACKENDS.get("onnxruntime")
        models = [candidate("dense", whole, backend, room, threads=cell.threads, say=say)]
        where = here("onnxruntime", threads=cell.threads, batch=1)
        price = Latency(table=measured_table(MODEL, models[0], where, {}, say=say))
        macs = {"dense": whole.manifest.cost_after.macs}
        for row, rates in STRINGS.items():
            for name, module in _row(whole, rates, price).items():
                macs[f"{row}, {name}"] = macs_of(module, whole.example())
                models.append(exported(f"{row}, {name}", module, whole, room))
        report = bench(
            models, backend="onnxruntime", options=SessionOptions(threads=cell.threads), batches=(1,),
            settings=MeasureSettings(budget_s=_SECONDS),
        )  # fmt: skip
    return {"macs": macs, "report": report_to_json(report)}


def _row(whole: Artifact, rates: str, price: Latency) -> dict[str, nn.Module]:
    published = _cut(whole, PruneRequest(target=Published(rates, "coring")))
    macs = published.manifest.cost_after.macs
    same = Budget("macs", absolute=macs)
    return {
        "published widths": published.module,
        "multiples of 16": _cut(whole, PruneRequest(target=Published(rates, "coring"), round_to=16)).module,
        "uniform, multiples of 16": _cut(whole, PruneRequest(target=same, round_to=16)).module,
        "Torch-Pruning, global, multiples of 16": _theirs(whole, macs),
        "by latency": _by_latency(whole, price, macs).module,
    }


def _cut(whole: Artifact, request: PruneRequest) -> Artifact:
    return prune(whole, request, method_of("l1", {}, 0), words="a study")


def _by_latency(whole: Artifact, price: Latency, macs: int) -> Artifact:
    """Return the quickest network that has at least as many multiply-adds, or as near as widths allow.

    Cutting by latency asks for milliseconds, so the share is bisected until the multiply-adds are equal.
    """
    low, high = 0.05, 1.0
    best = whole
    for _ in range(_BISECTIONS):
        share = (low + high) / 2
        request = PruneRequest(
            target=Budget("latency", fraction=share), scope="worth", round_to=price.table.where.block,
            measured=price,
        )  # fmt: skip
        found = _cut(whole, request)
        if found.manifest.cost_after.macs >= macs:
            best, high = found, share
        else:
            low = share
    return best


def _theirs(whole: Artifact, macs: int) -> nn.Module:
    """Return what Torch-Pruning leaves with about as many multiply-adds."""
    low, high, best = 0.0, 0.95, None
    for _ in range(_BISECTIONS):
        ratio = (low + high) / 2
        found = pruned_by_torch_pruning(whole, ratio, everywhere=True, multiple=16)
        if macs_of(found, whole.example()) >= macs:
            best, low = found, ratio
        else:
            high = ratio
    assert best is not None
    return best
