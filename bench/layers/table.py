"""A table that travels: what a model's nodes take on a target, and what their widths change about it."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, ClassVar, Final

from bench.layers.grid import Grid, rising
from bench.layers.signature import Signature
from compressor.base.documents import check_schema, decode, read_json, write_json
from compressor.base.errors import ArtifactError, UsageError
from compressor.base.text import foreign

SCHEMA_VERSION: Final = 1
KIND: Final = "latency-table"

_HINT: Final = "measure it again: compress profile MODEL --table FILE."

Key = tuple[Signature, int, int]
"""A signature with dense widths of input and output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """What decides the time of a layer besides itself.

    Attributes:
        backend: runtime.
        version: of the runtime.
        processor: its name and its instruction sets.
        threads: of the runtime; None leaves the choice to it.
        batch: samples per call.
        precision: of the file.
        block: channels that activations are kept in blocks of; 1 where they are not.
    """

    backend: str
    version: str
    processor: str
    threads: int | None
    batch: int
    precision: str
    block: int

    def __post_init__(self) -> None:
        if min(self.block, self.batch, self.threads or 1) < 1:
            raise ArtifactError(
                "a latency table of fewer than one channel, sample or thread",
                _HINT,
            )

    def differences(self, other: "Where") -> list[str]:
        """Return in words in what two places differ."""
        pairs = ((f.name, getattr(self, f.name), getattr(other, f.name)) for f in fields(self))
        return [
            f"{name} {foreign(mine)}, here {foreign(theirs)}"
            for name, mine, theirs in pairs
            if mine != theirs
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A layer's times over widths.

    Attributes:
        signature: of the layer.
        grid: milliseconds; its last widths are the dense ones.
    """

    signature: Signature
    grid: Grid

    @property
    def key(self) -> Key:
        """What finds it."""
        return self.signature, self.grid.into[-1], self.grid.out[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A node of the dense model as it ran.

    Attributes:
        module: whose weight it applies; "" of a node that has none.
        operator: of the weight, ``Conv``, ``Gemm`` ...; "" without one.
        ms: smallest time.
        makers: modules whose layers made what it takes.
        entry: number of the table's entry that says what widths change; None where work is proportional.
    """

    module: str
    operator: str
    ms: float
    makers: tuple[str, ...] = ()
    entry: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyTable:
    """What one model takes on one target, and what its widths change about it.

    Attributes:
        model: its name.
        where: the target.
        call_ms: of a whole call.
        parts: its nodes.
        entries: times over widths.
    """

    kind: ClassVar[str] = KIND
    model: str
    where: Where
    call_ms: float
    parts: tuple[Part, ...]
    entries: tuple[Entry, ...] = field(default=())

    def __post_init__(self) -> None:
        if not self.call_ms > 0 or not self.parts:
            raise ArtifactError("a latency table without any time", _HINT)
        for entry in self.entries:
            _check(entry.grid)
        if any(not part.ms >= 0 or not _in(part.entry, len(self.entries)) for part in self.parts):
            raise ArtifactError(
                "a latency table whose nodes do not fit its entries",
                _HINT,
            )

    def save(self, path: Path) -> None:
        """Write it, whole or not at all."""
        write_json(path, {"schema_version": SCHEMA_VERSION, "kind": KIND, **asdict(self)})

    @classmethod
    def load(cls, path: Path) -> "LatencyTable":
        """Read a table.

        Raises:
            ArtifactError: it is damaged, cut short, or no table.
        """
        document: Any = read_json(path, _HINT)
        check_schema(document, SCHEMA_VERSION, foreign(path))
        if document.get("kind") != KIND:
            raise ArtifactError(f"{foreign(path)} is no latency table", _HINT)
        body = {name: value for name, value in document.items() if name not in ("schema_version", "kind")}
        return decode(cls, body, foreign(path))

    def require(self, here: Where) -> None:
        """Refuse a table of another place.

        Raises:
            UsageError: it differs.
        """
        differences = self.where.differences(here)
        if differences:
            raise UsageError(
                f"the latency table was measured elsewhere: {'; '.join(differences)}",
                "measure it here, or give --foreign-table to plan for that place.",
            )


def by_key(entries: Iterable[Entry]) -> Mapping[Key, Entry]:
    """Return entries by what finds them."""
    return {entry.key: entry for entry in entries}


def _check(grid: Grid) -> None:
    rows = len(grid.ms) == len(grid.into) and all(len(row) == len(grid.out) for row in grid.ms)
    positive = all(ms > 0 for row in grid.ms for ms in row)
    if not (rows and positive and rising(grid.into) and rising(grid.out) and grid.into and grid.out):
        raise ArtifactError("a latency table has a grid that is none", _HINT)


def _in(entry: int | None, count: int) -> bool:
    return entry is None or 0 <= entry < count


def numbered(parts: Iterable[tuple[Part, Key | None]], entries: Mapping[Key, Entry]) -> tuple[Part, ...]:
    """Return parts with the numbers of their entries."""
    numbers = {key: number for number, key in enumerate(entries)}
    return tuple(replace(part, entry=numbers.get(key) if key else None) for part, key in parts)
