"""An exported file as it is held against its module: open, and with copies that show more of it."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from compressor.base.files import scratch
from export.backends import BACKENDS, Array, Session, SessionOptions
from export.taps import tapped_names, write_tapped
from export.thresholds import write_without_threshold

_ONNX = "onnxruntime"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedFile:
    """A `compressor.tasks.opened.OpenFile`.

    Attributes:
        session: opened by the runtime that will run it.
        path: an ONNX file, or one that was compiled.
    """

    session: Session
    path: Path

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names to feed, in the order of the model's inputs."""
        return self.session.input_names

    def run(self, feed: Mapping[str, Array]) -> dict[str, Array]:
        """Compute the outputs by name."""
        return self.session.run(feed)

    def inner(self) -> frozenset[str]:
        """Return the names of the inner values that can be shown; none of a file that was compiled."""
        return tapped_names(self.path) if self.path.suffix == BACKENDS.get(_ONNX).suffix else frozenset()

    @contextmanager
    def showing(self, names: Iterable[str]) -> Iterator[Session]:
        """Open a copy that returns inner values too."""
        with scratch() as folder:
            tapped = write_tapped(self.path, folder / self.path.name, names)
            with BACKENDS.get(_ONNX).open(tapped, SessionOptions()) as session:
                yield session

    @contextmanager
    def lowered(self, threshold: float) -> Iterator["OpenedFile"]:
        """Open a copy with 0 in place of a score threshold."""
        with scratch() as folder:
            path = write_without_threshold(self.path, folder / self.path.name, threshold)
            with BACKENDS.get(_ONNX).open(path, SessionOptions()) as session:
                yield OpenedFile(session=session, path=path)
