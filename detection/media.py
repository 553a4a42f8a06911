"""Pictures from files, folders and videos. What cannot be read is counted, never passed over."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from compressor.base.errors import BackendMissingError, UsageError

Kind = Literal["image", "folder", "video"]

IMAGE_SUFFIXES: Final = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
VIDEO_SUFFIXES: Final = (".mp4", ".mov", ".mkv", ".avi", ".webm", ".m4v")

_USUAL_RATE, _LARGEST_RATE = 25, 240  # pictures per second


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Picture:
    """One image, or one frame of a video.

    Attributes:
        name: of the file, or number of the frame, from 0.
        pixels: uint8 of shape (3, height, width); None where it cannot be read.
        problem: why not, or "".
    """

    name: str
    pixels: Tensor | None
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reel:
    """Pictures, one after the other.

    Attributes:
        kind: what they come from.
        pictures: can be read once.
        count: how many there are, None where a video does not say.
        rate: of a video, frames per second.
    """

    kind: Kind
    pictures: Iterator[Picture]
    count: int | None
    rate: Fraction = Fraction(_USUAL_RATE)


@contextmanager
def opened(source: Path) -> Iterator[Reel]:
    """Open an image, a folder of images, or a video.

    Raises:
        UsageError: there is nothing of the kind at ``source``, or it is one image that cannot be read.
        BackendMissingError: it is a video and PyAV is not installed.
    """
    if source.is_dir():
        yield _folder(source)
    elif not source.is_file():
        raise UsageError(f"there is nothing at {source}", "give an image, a folder of images, or a video.")
    elif source.suffix.lower() in VIDEO_SUFFIXES:
        with _container(source) as container:
            stream = container.streams.video[0]
            rate = Fraction(min(stream.average_rate or _USUAL_RATE, _LARGEST_RATE))
            yield Reel(kind="video", pictures=_frames(container), count=stream.frames or None, rate=rate)
    else:
        yield _image(source)


def _folder(source: Path) -> Reel:
    files = sorted(path for path in source.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    if not files:
        raise UsageError(f"{source} holds no images", f"known suffixes: {', '.join(IMAGE_SUFFIXES)}.")
    return Reel(kind="folder", pictures=(_picture(path) for path in files), count=len(files))


def _image(source: Path) -> Reel:
    picture = _picture(source)
    if picture.pixels is None:
        hint = f"give an image, or a video that ends in {', '.join(VIDEO_SUFFIXES)}."
        raise UsageError(f"{source} is no image: {picture.problem}", hint)
    return Reel(kind="image", pictures=iter([picture]), count=1)


def _picture(path: Path) -> Picture:
    try:
        with Image.open(path) as file:
            pixels = _rgb(ImageOps.exif_transpose(file))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        return Picture(name=path.name, pixels=None, problem=str(error))
    return Picture(name=path.name, pixels=torch.from_numpy(pixels).permute(2, 0, 1))


def _rgb(image: Image.Image) -> NDArray[np.uint8]:
    """Return (height, width, 3); of 16-bit grey the upper byte, where Pillow would clip to white."""
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image) >> 8).clip(0, 255).astype(np.uint8))
    return np.array(image.convert("RGB"))


@contextmanager
def _container(path: Path) -> Iterator[Any]:
    av = load_av()
    try:
        container = av.open(str(path), metadata_errors="replace")
    except av.error.FFmpegError as error:
        raise UsageError(f"{path} is no readable video: {error.strerror}", "convert it to MP4.") from error
    with container:
        streams = container.streams.video
        if not streams or streams[0].codec_context is None:
            raise UsageError(f"{path} holds no video that can be decoded", "convert it to MP4.")
        yield container


def _frames(container: Any) -> Iterator[Picture]:
    """Yield what comes out of every packet; each packet that cannot be decoded counts as one frame."""
    av, stream, number = load_av(), container.streams.video[0], 0
    packets = container.demux(stream)
    while True:
        try:
            frames = next(packets).decode()
        except StopIteration:
            break
        except av.error.FFmpegError as error:
            yield Picture(name=str(number), pixels=None, problem=error.strerror)
            number += 1
            continue
        for frame in frames:
            yield Picture(name=str(number), pixels=_upright(frame))
            number += 1
    if number < stream.frames:
        problem = f"the video ends here, although it says that it has {stream.frames} frames"
        yield Picture(name=str(number), pixels=None, problem=problem)


def _upright(frame: Any) -> Tensor:
    """Return the pixels as a player shows them: phones store frames lying on their side."""
    turned = np.rot90(frame.to_ndarray(format="rgb24"), round(frame.rotation / 90))
    return torch.from_numpy(np.ascontiguousarray(turned)).permute(2, 0, 1)


def load_av() -> Any:
    """Return the module ``av``, which reads and writes videos with FFmpeg.

    Raises:
        BackendMissingError: it is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise BackendMissingError(
            "videos need PyAV, which is not installed", "pip install 'compress-cnn[video]'"
        ) from error
    return av
