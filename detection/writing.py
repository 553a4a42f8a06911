"""Pictures into an image, a folder or a video, each of which appears complete or not at all."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from PIL import Image
from torch import Tensor
from torch.nn.functional import pad

from compressor.base.errors import BackendMissingError, CompressError, UsageError
from compressor.base.files import publish, temporary_folder
from compressor.base.locks import owned
from detection.media import IMAGE_SUFFIXES, VIDEO_SUFFIXES, Kind, Reel, load_av

Write = Callable[[str, Tensor], None]

_ENCODERS: Final = ("libx264", "mpeg4", "libvpx")
"""The first that FFmpeg has here and that the kind of file may hold is used."""

_BITS_PER_PIXEL: Final = 0.25  # for encoders that do not choose by themselves


def check_output(path: Path, kind: Kind) -> None:
    """Refuse a path that does not look like what will be written to it.

    Raises:
        UsageError: the suffix is of another kind.
    """
    suffix = path.suffix.lower()
    found = "image" if suffix in IMAGE_SUFFIXES else "video" if suffix in VIDEO_SUFFIXES else "folder"
    if found != kind:
        example = {"image": "found.png", "video": "found.mp4", "folder": "found"}[kind]
        raise UsageError(f"{path} cannot hold the {kind} that comes out", f"give -o {example}.")


@contextmanager
def written(path: Path, reel: Reel) -> Iterator[Write]:
    """Yield a function of (name, pixels) that adds a picture to an image, a folder or a video.

    Raises:
        UsageError: ``path`` does not fit the kind of reel.
        CompressError: it cannot be written; nothing is left behind.
    """
    check_output(path, reel.kind)
    with _complete(path) as part:
        if reel.kind == "image":
            yield lambda _, pixels: save_picture(pixels, part)
        elif reel.kind == "folder":
            part.mkdir()
            yield lambda name, pixels: save_picture(pixels, part / name)
        else:
            with VideoWriter(part, reel.rate) as video:
                yield lambda _, pixels: video.write(pixels)


@contextmanager
def _complete(path: Path) -> Iterator[Path]:
    """Yield a path beside ``path`` that is moved there when the block ends well, and vanishes otherwise."""
    with _writable(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with owned(path), temporary_folder(path.parent) as folder:
        part = folder / path.name
        yield part
        with _writable(path):
            publish(part, path)


@contextmanager
def _writable(path: Path, *others: type[Exception]) -> Iterator[None]:
    """Turn errors of the file system, and ``others``, into ours."""
    kinds: tuple[type[Exception], ...] = (OSError, *others)
    try:
        yield
    except kinds as error:
        reason = getattr(error, "strerror", None) or error
        hint = "free some space or choose another -o."
        raise CompressError(f"cannot write {path.name}: {reason}", hint) from error


def save_picture(pixels: Tensor, path: Path) -> None:
    """Write an image, uint8 (3, height, width), in the format that the suffix names.

    Raises:
        CompressError: the file cannot be written, or its format has no images of this size.
    """
    with _writable(path, ValueError):
        Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy()).save(path)


class VideoWriter:
    """Writes pictures to a video of the size of the first one, which becomes complete at the end of ``with``.

    Args:
        path: of the file; its suffix says the format.
        rate: pictures per second.
    """

    def __init__(self, path: Path, rate: Fraction) -> None:
        self._path, self._rate = path, 1 / (1 / rate).limit_denominator(2**16 - 1)  # what MPEG-4 can say
        self._av = load_av()
        self._container: Any = None
        self._stream: Any = None

    def write(self, pixels: Tensor) -> None:
        """Append uint8 (3, height, width), scaled to the size of the first, and padded to even sides.

        Raises:
            CompressError: the file cannot be written.
        """
        even = pad(pixels, (0, pixels.shape[2] % 2, 0, pixels.shape[1] % 2))
        with self._complaining():
            if self._container is None:
                self._open(even.shape[2], even.shape[1])
            frame = self._av.VideoFrame.from_ndarray(even.permute(1, 2, 0).contiguous().numpy())
            frame = frame.reformat(self._stream.width, self._stream.height)
            self._container.mux(self._stream.encode(frame))

    def _open(self, width: int, height: int) -> None:
        self._container = self._av.open(str(self._path), "w")
        usable = self._av.codecs_available & self._container.supported_codecs
        codec = next((name for name in _ENCODERS if name in usable), None)
        if codec is None:
            reason = f"FFmpeg here has no encoder for {self._path.suffix} files"
            raise BackendMissingError(reason, f"it needs one of {', '.join(_ENCODERS)}; try -o found.mp4.")
        self._stream = self._container.add_stream(codec, rate=self._rate)
        self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, "yuv420p"
        if codec != "libx264":
            self._stream.bit_rate = int(_BITS_PER_PIXEL * width * height * max(float(self._rate), 1.0))

    def _complaining(self) -> Any:
        return _writable(self._path, self._av.error.FFmpegError)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._container is None:
            return
        try:
            if error is None:
                with self._complaining():
                    self._container.mux(self._stream.encode())
                    self._container.close()
        finally:
            with suppress(self._av.error.FFmpegError):
                self._container.close()
