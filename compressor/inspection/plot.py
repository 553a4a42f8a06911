"""Plots, drawn with matplotlib, which is optional: ``pip install 'compress-cnn[plot]'``."""

import io
from collections.abc import Sequence
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Final

from compressor.base.errors import BackendMissingError, UsageError
from compressor.base.files import write_whole
from compressor.base.text import foreign, plain
from compressor.inspection.sensitivity import GroupSensitivity

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS: Final = (".svg", ".png")
_PER_ROW: Final = 6
_LONGEST_NAME: Final = 26
_LONGEST_TITLE: Final = 500


def check_format(path: Path) -> None:
    """Refuse a file that no plot can be written to.

    Raises:
        UsageError: its name ends neither in .svg nor in .png.
    """
    if path.suffix not in FORMATS:
        raise UsageError(f"{path} is no name for a plot", f"let it end in {' or '.join(FORMATS)}.")


def plot_sensitivity(groups: Sequence[GroupSensitivity], dense: float, title: str, path: Path) -> None:
    """Draw quality against rate, one small panel per group, all with the same axes.

    Args:
        groups: in network order; at least one.
        dense: quality of the unpruned network, percent; a dashed line in every panel.
        title: above the panels.
        path: ends in .svg or .png; the same points give the same file.

    Raises:
        UsageError: of another ending.
        BackendMissingError: matplotlib is not installed.
        CompressError: the file cannot be written.
    """
    check_format(path)
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError as error:
        raise BackendMissingError(
            "matplotlib is not installed, so that there is no plot",
            "pip install 'compress-cnn[plot]', and run the same command again: nothing is measured twice.",
        ) from error
    content = io.BytesIO()
    stamp = {"Date": None} if path.suffix == ".svg" else {}
    with mpl.rc_context(
        # the last two are what `plain` reckons with
        {"svg.hashsalt": "compress", "svg.fonttype": "none", "text.usetex": False, "text.parse_math": True}
    ):
        figure = Figure(figsize=_size(len(groups)), dpi=120, layout="constrained")
        _fill(figure, groups, dense, title)
        figure.savefig(content, format=path.suffix[1:], metadata=stamp)
    write_whole(path, content.getvalue())


def _size(panels: int) -> tuple[float, float]:
    """Return width and height in inches."""
    columns, rows = _grid(panels)
    return max(5.0, 2.0 * columns), 1.6 * rows + 1.0


def _grid(panels: int) -> tuple[int, int]:
    columns = min(panels, _PER_ROW)
    return columns, ceil(panels / columns)


def _fill(figure: "Figure", groups: Sequence[GroupSensitivity], dense: float, title: str) -> None:
    columns, rows = _grid(len(groups))
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for panel, group in zip(panels, groups, strict=False):
        _draw(panel, group, dense)
    for panel in panels[: len(groups)][-columns:]:
        panel.tick_params(labelbottom=True)  # also where the row below ends early
    for panel in panels[len(groups) :]:
        panel.remove()
    figure.suptitle(plain(title, _LONGEST_TITLE), fontsize=10)
    figure.supxlabel("share of the group's units removed, %", fontsize=9)
    figure.supylabel("quality, %", fontsize=9)


def _draw(panel: "Axes", group: GroupSensitivity, dense: float) -> None:
    rates = [0.0, *(100 * point.rate for point in group.points)]
    qualities = [dense, *(point.quality for point in group.points)]
    panel.axhline(dense, color="0.6", linestyle="--", linewidth=0.8)
    panel.plot(rates, qualities, marker="o", markersize=3, linewidth=1.2)
    panel.set_xlim(0, 100)
    panel.set_ylim(0, 105)
    panel.set_title(f"{plain(_short(foreign(group.group)))}\n{group.size} units", fontsize=7)
    panel.tick_params(labelsize=7)


def _short(name: str) -> str:
    """Return the end of a long name, which tells layers apart."""
    return name if len(name) <= _LONGEST_NAME else f"...{name[3 - _LONGEST_NAME :]}"
