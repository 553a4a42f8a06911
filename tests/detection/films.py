"""Small videos, whole and broken, made when they are needed."""

from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np

HEIGHT, WIDTH, FRAMES, RATE = 64, 96, 12, 10


def image(number: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Return uint8 (height, width, 3): blocks of random colours, different for every number."""
    blocks = np.random.default_rng(number).integers(30, 226, (height // 16 + 1, width // 16 + 1, 3), np.uint8)
    return blocks.repeat(16, axis=0).repeat(16, axis=1)[:height, :width]


def film(path: Path, *, frames: int = FRAMES, index_first: bool = False) -> Path:
    """Write a video in MPEG-4, which every build of FFmpeg has."""
    options = {"movflags": "faststart"} if index_first else {}
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream("mpeg4", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.bit_rate = 2_000_000
        for number in range(frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image(number), format="rgb24")))
        container.mux(stream.encode())
    return path


def with_broken_frames(path: Path, numbers: Sequence[int]) -> Path:
    """Overwrite the packets of some frames with zeros, in place."""
    with av.open(str(path)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    content = bytearray(path.read_bytes())
    for number in numbers:
        start, size = packets[number]
        content[start : start + size] = bytes(size)
    path.write_bytes(content)
    return path


def cut(path: Path, share: float) -> Path:
    """Keep the first part of a file only."""
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path
