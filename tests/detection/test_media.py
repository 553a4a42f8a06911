"""Everything that can be read is read as a viewer shows it; everything else is counted."""

import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from compressor.base.errors import BackendMissingError, UsageError
from detection.media import VIDEO_SUFFIXES, Picture, opened
from tests.detection.films import FRAMES, HEIGHT, RATE, WIDTH, cut, film, image, with_broken_frames

CLOSE = 12  # of 255: mean error of lossy compression; two different pictures are 40 or more apart


def pictures(source: Path) -> list[Picture]:
    with opened(source) as reel:
        return list(reel.pictures)


def distance(picture: Picture, expected: np.ndarray) -> float:
    assert picture.pixels is not None
    found = picture.pixels.permute(1, 2, 0).numpy()
    assert found.shape == expected.shape
    return float(np.abs(found.astype(int) - expected).mean())


def test_an_image_is_read_exactly(tmp_path: Path) -> None:
    Image.fromarray(image(0)).save(tmp_path / "a.png")
    with opened(tmp_path / "a.png") as reel:
        assert (reel.kind, reel.count) == ("image", 1)
        (picture,) = reel.pictures
    assert picture.name == "a.png"
    assert picture.pixels is not None
    assert picture.pixels.dtype == torch.uint8
    assert distance(picture, image(0)) == 0


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK", "1"])
def test_every_image_becomes_rgb(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "a.tif"
    Image.fromarray(image(0)).convert(mode).save(path)
    (picture,) = pictures(path)
    assert picture.pixels is not None
    assert picture.pixels.shape == (3, HEIGHT, WIDTH)


def test_sixteen_bits_of_grey_are_not_clipped(tmp_path: Path) -> None:
    grey = np.arange(256, dtype=np.uint16).reshape(16, 16) * 257
    Image.fromarray(grey).save(tmp_path / "a.png")
    (picture,) = pictures(tmp_path / "a.png")
    assert distance(picture, np.repeat((grey // 257)[..., None], 3, axis=2)) == 0


def test_photographs_are_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to view
    Image.fromarray(image(0)).save(tmp_path / "a.png", exif=exif)
    (picture,) = pictures(tmp_path / "a.png")
    assert distance(picture, np.rot90(image(0), -1)) == 0


def test_a_folder_is_read_by_name_and_counts_what_is_no_image(tmp_path: Path) -> None:
    Image.fromarray(image(1, 40, 50)).save(tmp_path / "c.PNG")
    Image.fromarray(image(2, 1, 1)).save(tmp_path / "b.png")
    (tmp_path / "a.jpg").write_bytes(b"not an image")
    Image.fromarray(image(3)).save(tmp_path / "d.png")
    cut(tmp_path / "d.png", 0.5)
    (tmp_path / "e.png").mkdir()
    (tmp_path / "notes.txt").write_text("of no interest")
    with opened(tmp_path) as reel:
        assert (reel.kind, reel.count) == ("folder", 5)
        found = {picture.name: picture for picture in reel.pictures}
    assert list(found) == ["a.jpg", "b.png", "c.PNG", "d.png", "e.png"]
    assert [name for name, picture in found.items() if picture.pixels is None] == ["a.jpg", "d.png", "e.png"]
    assert all(picture.problem for picture in found.values() if picture.pixels is None)
    assert distance(found["c.PNG"], image(1, 40, 50)) == 0
    assert distance(found["b.png"], image(2, 1, 1)) == 0


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("gone.png", None, "there is nothing at"),
        ("text.png", b"not an image", "is no image"),
        ("none.png", b"", "is no image"),
        ("text.mp4", b"not a video", "is no readable video: Invalid data"),
        ("none.mp4", b"", "is no readable video"),
    ],
)
def test_a_source_that_is_nothing_is_refused(
    tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=message) as caught:
        pictures(tmp_path / name)
    assert str(tmp_path / name) in caught.value.message
    assert caught.value.hint


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no images"):
        pictures(tmp_path)


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    import av

    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(UsageError, match="holds no video"):
        pictures(tmp_path / "a.mp4")


@pytest.mark.parametrize("suffix", [suffix for suffix in VIDEO_SUFFIXES if suffix != ".webm"])
def test_a_video_is_read_frame_by_frame(tmp_path: Path, suffix: str) -> None:
    with opened(film(tmp_path / f"a{suffix}")) as reel:
        assert (reel.kind, reel.rate) == ("video", Fraction(RATE))
        assert reel.count in (FRAMES, None)
        found = list(reel.pictures)
    assert [picture.name for picture in found] == [str(number) for number in range(FRAMES)]
    assert max(distance(picture, image(number)) for number, picture in enumerate(found)) < CLOSE
    assert distance(found[0], image(1)) > 3 * CLOSE


def test_broken_frames_are_counted_and_the_rest_is_read(tmp_path: Path) -> None:
    found = pictures(with_broken_frames(film(tmp_path / "a.mp4"), (3, 7)))
    assert len(found) == FRAMES
    broken = [picture for picture in found if picture.pixels is None]
    assert len(broken) == 2
    assert {picture.problem for picture in broken} == {"Invalid data found when processing input"}


def test_a_video_cut_short_is_read_up_to_the_cut(tmp_path: Path) -> None:
    found = pictures(cut(film(tmp_path / "a.mp4", index_first=True), 0.6))
    good = [picture for picture in found if picture.pixels is not None]
    assert 3 < len(good) < FRAMES - 2
    assert max(distance(picture, image(number)) for number, picture in enumerate(good[:-1])) < CLOSE
    assert f"it says that it has {FRAMES} frames" in found[-1].problem


def test_a_video_without_its_index_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no readable video"):
        pictures(cut(film(tmp_path / "a.mp4"), 0.6))


def test_a_failing_file_ends_the_video_with_a_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading packets fails where a disk does, which cannot be had here: a container that fails stands in."""
    import av

    whole = av.open(str(film(tmp_path / "a.mp4")))

    class Failing:
        streams = whole.streams

        def __enter__(self) -> "Failing":
            return self

        def __exit__(self, *_: object) -> None:
            whole.close()

        def demux(self, stream: object) -> object:
            for number, packet in enumerate(whole.demux(stream)):
                if number == 4:
                    raise av.error.OSError(5, "Input/output error")
                yield packet

    monkeypatch.setattr(av, "open", lambda *_, **__: Failing())
    found = pictures(tmp_path / "a.mp4")
    assert sum(picture.pixels is not None for picture in found) >= 3
    assert next(picture.problem for picture in found if picture.pixels is None) == "Input/output error"
    assert f"it says that it has {FRAMES} frames" in found[-1].problem


def test_videos_of_phones_are_turned_upright(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4")
    content = bytearray(path.read_bytes())
    start = content.index(b"tkhd") + 44  # the track's matrix, ISO/IEC 14496-12, 8.3.2
    quarter = np.array([0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30], ">i4").tobytes()
    content[start : start + len(quarter)] = quarter
    path.write_bytes(content)
    assert distance(pictures(path)[0], np.rot90(image(0), -1)) < CLOSE


def test_without_pyav_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = film(tmp_path / "a.mp4")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(BackendMissingError, match="PyAV") as caught:
        pictures(path)
    assert "compress-cnn[video]" in caught.value.hint
