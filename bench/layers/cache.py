"""Times of layers that were measured before on this machine, kept per user and keyed by what decides them.

A layer is written down as soon as it is measured, so that what was interrupted goes on where it stopped, and
two models with equal layers measure them once.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from bench.layers.table import Entry, Key, Where, by_key
from compressor.base.documents import check_schema, decode, digest, encode, read_json, write_json
from compressor.base.errors import ArtifactError
from compressor.base.files import user_cache

SCHEMA_VERSION: Final = 1
KIND: Final = "layer-times"
_HINT: Final = "delete it: layers are measured again."


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What the file of a place holds.

    Attributes:
        entries: of layers.
    """

    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Cache:
    """The file of one place.

    Attributes:
        where: the place.
        folder: of all such files; None is the user's.
    """

    where: Where
    folder: Path | None = None

    @property
    def path(self) -> Path:
        """The file, which need not exist."""
        folder = self.folder or user_cache("layers")
        return folder / f"{self.where.backend}-{digest(encode(self.where))[:16]}.json"

    def read(self) -> dict[Key, Entry]:
        """Return what was measured; nothing where the file is missing, damaged or of another version."""
        try:
            document: Any = read_json(self.path, _HINT)
            check_schema(document, SCHEMA_VERSION, str(self.path))
            kept = decode(Kept, {"entries": document.get("entries")}, str(self.path))
        except ArtifactError:
            return {}
        return dict(by_key(kept.entries))

    def write(self, entries: Mapping[Key, Entry]) -> None:
        """Write what was measured, whole."""
        head = {"schema_version": SCHEMA_VERSION, "kind": KIND, "where": asdict(self.where)}
        write_json(self.path, {**head, "entries": [asdict(entry) for entry in entries.values()]})
