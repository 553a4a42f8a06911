"""Pictures from files, folders and videos, and back. What cannot be read is counted, never passed over."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from compressor.errors import BackendMissingError, CompressError, UsageError

VIDEO_SUFFIXES: Final = (".mp4", ".mov", ".mkv", ".avi", ".webm", ".m4v")
IMAGE_SUFFIXES: Final = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
_CODECS: Final = ("libx264", "mpeg4")
"""The first that the installed build of FFmpeg has is used."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Picture:
    """One image, or one frame of a video.

    Attributes:
        name: file name, or number of the frame.
        pixels: uint8 of shape (3, height, width); None where it cannot be read.
        problem: why not, or "".
    """

    name: str
    pixels: Tensor | None
    problem: str = ""


def pictures(source: Path) -> Iterator[Picture]:
    """Yield the pictures of an image file, of a folder's image files by name, or of a video.

    Raises:
        UsageError: there is nothing of the kind at ``source``, or it is one image that cannot be read.
        BackendMissingError: it is a video and PyAV is not installed.
    """
    if source.is_dir():
        files = sorted(path for path in source.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
        if not files:
            raise UsageError(f"{source} holds no images", f"known suffixes: {', '.join(IMAGE_SUFFIXES)}.")
        return (_picture(path) for path in files)
    if not source.is_file():
        raise UsageError(f"there is nothing at {source}", "give an image, a folder of images, or a video.")
    if source.suffix.lower() in VIDEO_SUFFIXES:
        return _frames(source)
    picture = _picture(source)
    if picture.pixels is None:
        raise UsageError(f"{source} is no image: {picture.problem}", "give a JPEG, PNG or WebP file.")
    return iter([picture])


def _picture(path: Path) -> Picture:
    try:
        with Image.open(path) as file:
            pixels = np.array(file.convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        return Picture(name=path.name, pixels=None, problem=str(error))
    return Picture(name=path.name, pixels=torch.from_numpy(pixels).permute(2, 0, 1))


def _frames(path: Path) -> Iterator[Picture]:
    av = _av()
    try:
        container = av.open(str(path))
        stream = container.streams.video[0]
    except (av.error.FFmpegError, IndexError) as error:
        raise UsageError(f"{path} is no video that can be read: {error}", "convert it to MP4.") from error
    number = 0
    with container:
        for packet in container.demux(stream):
            for picture in _decoded(av, packet, number):
                number += 1
                yield picture


def _decoded(av: Any, packet: Any, number: int) -> Iterator[Picture]:
    try:
        for offset, frame in enumerate(packet.decode()):
            pixels = torch.from_numpy(frame.to_ndarray(format="rgb24")).permute(2, 0, 1)
            yield Picture(name=str(number + offset), pixels=pixels)
    except av.error.FFmpegError as error:
        yield Picture(name=str(number), pixels=None, problem=str(error))


def frame_rate(path: Path) -> float:
    """Return the frames per second that a video says it has, 25 where it does not."""
    av = _av()
    with av.open(str(path)) as container:
        return float(container.streams.video[0].average_rate or 25)


class VideoWriter:
    """Writes pictures of one size to a video; leaving the ``with`` block after an error removes the file."""

    def __init__(self, path: Path, rate: float) -> None:
        self._path, self._rate = path, rate
        self._container: Any = None
        self._stream: Any = None

    def write(self, pixels: Tensor) -> None:
        """Append a frame, uint8 (3, height, width); an odd last row or column is dropped, as codecs need."""
        av = _av()
        even = pixels[:, : pixels.shape[1] // 2 * 2, : pixels.shape[2] // 2 * 2]
        if self._container is None:
            self._open(av, even.shape[2], even.shape[1])
        frame = av.VideoFrame.from_ndarray(even.permute(1, 2, 0).contiguous().numpy(), format="rgb24")
        self._container.mux(self._stream.encode(frame.reformat(self._stream.width, self._stream.height)))

    def _open(self, av: Any, width: int, height: int) -> None:
        codec = next((name for name in _CODECS if name in av.codecs_available), None)
        if codec is None:
            raise BackendMissingError(
                f"FFmpeg here has none of {', '.join(_CODECS)}", "install another av wheel."
            )
        try:
            self._container = av.open(str(self._path), "w")
        except (av.error.FFmpegError, ValueError) as error:
            raise CompressError(f"cannot write {self._path}: {error}", "choose another -o.") from error
        self._stream = self._container.add_stream(codec, rate=round(self._rate))
        self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, "yuv420p"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._container is None:
            return
        if error is None:
            self._container.mux(self._stream.encode())
        self._container.close()
        if error is not None:
            self._path.unlink(missing_ok=True)


def save_picture(pixels: Tensor, path: Path) -> None:
    """Write an image, uint8 (3, height, width).

    Raises:
        UsageError: the suffix is of no image format.
        CompressError: the file cannot be written.
    """
    try:
        Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy()).save(path)
    except ValueError as error:
        raise UsageError(f"cannot write {path}: {error}", "end -o in .png or .jpg.") from error
    except OSError as error:
        raise CompressError(f"cannot write {path}: {error}", "choose another -o.") from error


def _av() -> Any:
    try:
        import av
    except ImportError as error:
        raise BackendMissingError(
            "videos need PyAV, which is not installed", "pip install 'compress-cnn[video]'"
        ) from error
    return av
