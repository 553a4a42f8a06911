"""Plots as files: what they say, that they repeat, and what happens without matplotlib."""

import re
import struct
import sys
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest

from compressor.base.errors import BackendMissingError, CompressError, UsageError
from compressor.inspection.plot import plot_sensitivity
from compressor.inspection.sensitivity import GroupSensitivity, Point

SVG = "{http://www.w3.org/2000/svg}"


def group(name: str, *qualities: float) -> GroupSensitivity:
    points = tuple(
        Point(group=name, size=64, rate=(n + 1) / 10, kept=1, quality=q, macs=1, params=1)
        for n, q in enumerate(qualities)
    )
    return GroupSensitivity(group=name, size=64, points=points, loss_per_macs=1.0)


def draw(path: Path, count: int = 3) -> Path:
    groups = [group(f"layer{n}.conv", 90, 70, 20) for n in range(count)]
    plot_sensitivity(groups, 91.5, "a title", path)
    return path


def texts(path: Path) -> list[str]:
    return ["".join(t.itertext()) for t in ElementTree.parse(path).iter(f"{SVG}text")]


@pytest.mark.parametrize("count", [1, 6, 8])
def test_a_panel_per_group(tmp_path: Path, count: int) -> None:
    pytest.importorskip("matplotlib")
    path = draw(tmp_path / "plot.svg", count)
    said = texts(path)
    assert "a title" in said
    assert [t for t in said if re.fullmatch(r"layer\d\.conv", t)] == [f"layer{n}.conv" for n in range(count)]
    panels = [g for g in ElementTree.parse(path).iter(f"{SVG}g") if g.get("id", "").startswith("axes_")]
    assert len(panels) == count


def test_points_lie_where_rate_and_quality_say(tmp_path: Path) -> None:
    """In one panel of linear axes, markers are as far apart as their values, and fall as quality falls."""
    pytest.importorskip("matplotlib")
    path = tmp_path / "plot.svg"
    plot_sensitivity([group("only", 90, 70, 20)], 91.5, "a title", path)
    markers = [
        (float(use.get("x", "")), float(use.get("y", "")))
        for use in ElementTree.parse(path).iter(f"{SVG}use")
        if "fill: #1f77b4" in use.get("style", "")
    ]
    steps = [(x1 - x0, y1 - y0) for (x0, y0), (x1, y1) in pairwise(markers)]
    (wide, deep), *others = steps  # from the unpruned 91.5 % at rate 0 to 90 % at 10 %
    assert wide > 0
    assert deep > 0  # SVG's y points down
    assert [step for step, _ in others] == pytest.approx([wide, wide], rel=1e-4)
    assert [fall / deep for _, fall in others] == pytest.approx([20 / 1.5, 50 / 1.5], rel=1e-3)


def test_long_names_keep_their_end(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "plot.svg"
    plot_sensitivity([group("backbone.features.denseblock3.denselayer24.conv2", 50)], 60, "", path)
    (name,) = [t for t in texts(path) if t.startswith("...")]
    assert "backbone.features.denseblock3.denselayer24.conv2".endswith(name.removeprefix("..."))
    assert len(name) <= 26


def test_the_same_points_give_the_same_file(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    for suffix in ("svg", "png"):
        first, second = draw(tmp_path / f"1.{suffix}"), draw(tmp_path / f"2.{suffix}")
        assert first.read_bytes() == second.read_bytes()


def test_png_is_one(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    content = draw(tmp_path / "deep" / "plot.png").read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", content[16:24])
    assert width > height > 200


def test_other_endings_are_refused(tmp_path: Path) -> None:
    for name in ("plot.pdf", "plot"):
        with pytest.raises(UsageError, match="no name for a plot"):
            draw(tmp_path / name)


def test_an_unwritable_place_is_an_error(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    (tmp_path / "file").write_text("")
    with pytest.raises(CompressError, match="cannot write"):
        draw(tmp_path / "file" / "plot.svg")


def test_without_matplotlib_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(BackendMissingError) as error:
        draw(tmp_path / "plot.svg")
    assert "pip install 'compress-cnn[plot]'" in error.value.hint
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_names_are_text_in_a_plot(tmp_path: Path, suffix: str) -> None:
    """No formulas, which fail or vanish, no line breaks, and nothing that XML forbids."""
    pytest.importorskip("matplotlib")
    names = ("a$x_1$", r"$\frac{$", "b\x1b[2J\u2028\r", "<b>&amp;", "\udcff", r"\$5$")
    path = tmp_path / f"plot.{suffix}"
    plot_sensitivity([group(name, 90, 70) for name in names], 91.5, "on $\\broken{$\n# data\x1b", path)
    if suffix == "png":
        assert path.stat().st_size > 0
        return
    said = texts(path)
    shown = ("a$x_1$", r"$\frac{$", r"b\x1b[2J\u2028\x0d", "<b>&amp;", r"\udcff", r"\$5$")
    assert [name for name in shown if name not in said] == []
    assert r"on $\broken{$\x0a# data\x1b" in said
