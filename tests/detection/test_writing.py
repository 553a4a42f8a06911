"""What is written can be read again, and a failure leaves nothing behind."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from torch import Tensor

import detection.writing
from compressor.base.errors import CompressError, UsageError
from detection.media import VIDEO_SUFFIXES, Kind, Reel, opened
from detection.writing import VideoWriter, check_output, save_picture, written
from tests.detection.films import image


def reel(kind: Kind, rate: Fraction = Fraction(25)) -> Reel:
    return Reel(kind=kind, pictures=iter(()), count=None, rate=rate)


def pixels(number: int, height: int = 64, width: int = 96) -> Tensor:
    return torch.from_numpy(image(number, height, width)).permute(2, 0, 1)


def frames(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_images_come_back(tmp_path: Path) -> None:
    with written(tmp_path / "new" / "a.png", reel("image")) as write:
        write("x", pixels(0))
    with opened(tmp_path / "new" / "a.png") as found:
        assert torch.equal(next(found.pictures).pixels, pixels(0))


def test_a_folder_keeps_names_and_sizes(tmp_path: Path) -> None:
    sizes = {"a.png": (1, 1), "a.bmp": (31, 17), "b.PNG": (64, 96)}
    with written(tmp_path / "out.v2", reel("folder")) as write:
        for number, (name, size) in enumerate(sizes.items()):
            write(name, pixels(number, *size))
        assert not (tmp_path / "out.v2").exists(), "half a folder"
    with opened(tmp_path / "out.v2") as found:
        back = {picture.name: picture.pixels for picture in found.pictures}
    assert back.keys() == sizes.keys()
    for number, (name, size) in enumerate(sizes.items()):
        assert torch.equal(back[name], pixels(number, *size))


@pytest.mark.parametrize("suffix", VIDEO_SUFFIXES)
def test_videos_come_back(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    with written(path, reel("video", Fraction(30000, 1001))) as write:
        for number in range(6):
            write(str(number), pixels(number))
        assert not path.exists(), "half a video"
    found = frames(path)
    assert len(found) == 6
    for number, frame in enumerate(found):
        assert np.abs(frame.astype(int) - image(number)).mean() < 12
    with opened(path) as again:
        assert abs(float(again.rate) - 29.97) < 0.1
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("size", "even"), [((1, 1), (2, 2)), ((33, 47), (34, 48)), ((64, 96), (64, 96))])
def test_odd_sides_are_padded(tmp_path: Path, size: tuple[int, int], even: tuple[int, int]) -> None:
    with written(tmp_path / "a.mp4", reel("video")) as write:
        write("0", pixels(0, *size))
    assert frames(tmp_path / "a.mp4")[0].shape == (*even, 3)


def test_frames_take_the_size_of_the_first(tmp_path: Path) -> None:
    with written(tmp_path / "a.mp4", reel("video")) as write:
        for number, size in enumerate([(64, 96), (31, 17), (128, 200)]):
            write(str(number), pixels(number, *size))
    assert [frame.shape for frame in frames(tmp_path / "a.mp4")] == [(64, 96, 3)] * 3


@pytest.mark.parametrize(
    "rate", [Fraction(1, 3), Fraction(24000, 1001), Fraction(1234567, 89012), Fraction(240)]
)
@pytest.mark.parametrize("encoder", ["libx264", "mpeg4"])
def test_unusual_rates_are_kept(
    tmp_path: Path, rate: Fraction, encoder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also by the encoder that takes over where FFmpeg was built without x264."""
    if encoder not in av.codecs_available:
        pytest.skip(f"FFmpeg here has no {encoder}")
    monkeypatch.setattr(detection.writing, "_ENCODERS", (encoder,))
    path = tmp_path / "a.mp4"
    with written(path, reel("video", rate)) as write:
        for number in range(4):
            write(str(number), pixels(number))
    with opened(path) as found:
        assert abs(found.rate / rate - 1) < 1e-3
        assert len(list(found.pictures)) == 4


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("a.png", ["image"]),
        ("a.JPG", ["image"]),
        ("a.mp4", ["video"]),
        ("a.MKV", ["video"]),
        ("a", ["folder"]),
        ("a.v2", ["folder"]),
        ("a.gif", ["folder"]),
    ],
)
def test_an_output_fits_one_kind(name: str, kinds: list[Kind]) -> None:
    for kind in ("image", "video", "folder"):
        if kind in kinds:
            check_output(Path(name), kind)
        else:
            with pytest.raises(UsageError, match=f"cannot hold the {kind}") as caught:
                check_output(Path(name), kind)
            assert "found" in caught.value.hint


NAMES = {"image": "a.png", "folder": "a", "video": "a.mp4"}


def interrupted(path: Path, kind: Kind) -> None:
    with written(path, reel(kind)) as write:
        write("0.png", pixels(0))
        raise KeyboardInterrupt


@pytest.mark.parametrize("kind", NAMES)
def test_an_interruption_leaves_nothing_behind(tmp_path: Path, kind: Kind) -> None:
    with pytest.raises(KeyboardInterrupt):
        interrupted(tmp_path / NAMES[kind], kind)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", NAMES)
def test_a_place_that_is_none_is_an_error_before_any_work(tmp_path: Path, kind: Kind) -> None:
    (tmp_path / "file").write_text("mine")
    with (
        pytest.raises(CompressError, match=f"cannot write {NAMES[kind]}"),
        written(tmp_path / "file" / NAMES[kind], reel(kind)),
    ):
        pytest.fail("the block was entered")
    assert (tmp_path / "file").read_text() == "mine"


def long_film(path: Path) -> None:
    with VideoWriter(path, Fraction(25)) as video:
        for number in range(200):
            video.write(pixels(number))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_an_error_of_ours(tmp_path: Path) -> None:
    for name in ("a.mp4", "a.png"):
        (tmp_path / name).symlink_to("/dev/full")
    with pytest.raises(CompressError, match="No space left"):
        save_picture(pixels(0), tmp_path / "a.png")
    with pytest.raises(CompressError, match="No space left"):
        long_film(tmp_path / "a.mp4")


def test_a_format_with_a_limit_on_sizes_says_so(tmp_path: Path) -> None:
    with pytest.raises(CompressError, match="16383"):
        save_picture(torch.zeros(3, 1, 16400, dtype=torch.uint8), tmp_path / "a.webp")
