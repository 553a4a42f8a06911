"""What is projected for several networks on one device, as a document and as a table."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from rich.box import SIMPLE
from rich.table import Table
from rich.text import Text

from bench.projection.devices import DEVICES, Device
from bench.projection.layers import ASSUMED, Layer
from bench.projection.roofline import Ceilings, Projection, Range, project, projected_speedup
from bench.statistics import significant
from compressor.base.text import foreign

LABEL: Final = "projection, not a measurement"
_TEMPLATE: Final = "max(FLOPs / ceiling, bytes / bandwidth) + launch, summed over layers; 1 MAC = 2 FLOPs"
_WIDTHS: Final = (
    "widths that kernels do not take whole (multiples of 8 in fp16, of 16 in int8) gain less than projected"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A network to project.

    Attributes:
        name: as the user wants to read it.
        digest: identity of the artifact.
        layers: for one image.
    """

    name: str
    digest: str
    layers: tuple[Layer, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Projected:
    """One network at one batch size in one precision.

    Attributes:
        network: what was projected.
        batch: images per call.
        precision: of weights and activations.
        projection: how long it should take.
        speedup: against the first network; None for that one itself.
    """

    network: Network
    batch: int
    precision: str
    projection: Projection
    speedup: Range | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectionReport:
    """Everything that was projected.

    Attributes:
        name: of the device in the registry.
        device: its title and where its ceilings come from.
        ceilings: one entry per precision.
        entries: by precision, batch and network.
    """

    name: str
    device: Device
    ceilings: tuple[Ceilings, ...]
    entries: tuple[Projected, ...]

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader has to know."""
        return (
            f"{LABEL}: {self.device.title}",
            f"ceilings: {self.device.source}",
            f"time: {_TEMPLATE}",
            *ASSUMED,
            _WIDTHS,
        )


def projected(
    networks: Sequence[Network], device: str, batches: Sequence[int], threads: int | None = None
) -> ProjectionReport:
    """Project networks to a device; the first is the baseline.

    Args:
        networks: at least one.
        device: name in `bench.projection.devices.DEVICES`.
        batches: images per call.
        threads: of the runtime, where the device is a CPU.

    Raises:
        UsageError: there is no such device.
    """
    chosen = DEVICES.get(device)
    ceilings = tuple(chosen.ceilings(threads))
    entries = (
        entry for one in ceilings for batch in batches for entry in _side_by_side(networks, one, batch)
    )
    return ProjectionReport(name=device, device=chosen, ceilings=ceilings, entries=tuple(entries))


def _side_by_side(networks: Sequence[Network], ceilings: Ceilings, batch: int) -> list[Projected]:
    projections = [project(network.layers, ceilings, batch) for network in networks]
    first = projections[0]
    return [
        Projected(
            network=network, batch=batch, precision=ceilings.precision, projection=projection,
            speedup=None if projection is first else projected_speedup(first, projection),
        )
        for network, projection in zip(networks, projections, strict=True)
    ]  # fmt: skip


def projection_to_json(report: ProjectionReport) -> dict[str, Any]:
    """Return a JSON-able dictionary that no reader of measurements takes: it has no ``results``."""
    baseline = report.entries[0].network.name
    return {
        "schema_version": 1,
        "kind": "projection",
        "label": LABEL,
        "device": {"name": report.name, "title": report.device.title, "source": report.device.source},
        "ceilings": [asdict(one) for one in report.ceilings],
        "projections": [_row(entry, baseline) for entry in report.entries],
        "notes": list(report.notes),
    }


def _row(entry: Projected, baseline: str) -> dict[str, Any]:
    speedup = {"baseline": baseline, **asdict(entry.speedup)} if entry.speedup else None
    return {
        "model": entry.network.name,
        "digest": entry.network.digest,
        "batch": entry.batch,
        "precision": entry.precision,
        "macs": sum(layer.macs for layer in entry.network.layers),
        "projected_ms": {**asdict(entry.projection.range_ms), "middle": entry.projection.middle_ms},
        "projected_speedup": speedup,
        "limited_by": entry.projection.limited_by,
    }


def render_projection(report: ProjectionReport) -> Table:
    """Return a table whose title, columns and caption say that nothing in it was measured."""
    table = Table(
        box=SIMPLE, title=Text(f"Projection to {report.name}: no time below was measured"),
        title_justify="left", caption=Text("\n".join(report.notes)), caption_justify="left",
    )  # fmt: skip
    table.add_column("batch", justify="right", no_wrap=True)
    table.add_column("precision", no_wrap=True)
    table.add_column("model", overflow="fold", min_width=12)
    for column in ("projected ms", "projected speed-up"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("limited by (share of time)", min_width=15)
    for entry in report.entries:
        table.add_row(*_cells(entry))
    return table


def _cells(entry: Projected) -> tuple[str | Text, ...]:
    speedup = _between(entry.speedup) if entry.speedup else "baseline"
    return (
        str(entry.batch), entry.precision, Text(foreign(entry.network.name)),
        _between(entry.projection.range_ms), speedup, _shares(entry.projection.limited_by),
    )  # fmt: skip


def _between(found: Range) -> str:
    return f"{significant(found.low)}..{significant(found.high)}"


def _shares(limited_by: Mapping[Any, float]) -> str:
    ordered = sorted(limited_by.items(), key=lambda limit: -limit[1])
    return ", ".join(f"{limit} {share:.0%}" for limit, share in ordered if share >= 0.005)
