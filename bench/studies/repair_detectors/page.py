"""The section on detectors, cut and repaired."""

from typing import Any, Final

from bench.section import Section, table

Row = dict[str, Any]
_IMAGES: Final = {"others": "others", "own": "its own"}


def text(data: Row) -> str:
    """Return the section for what ``results.json`` holds."""
    rows = [
        (
            row["cell"]["model"],
            f"{row['macs'][1] / row['macs'][0]:.0%}",
            f"{row['images']} {_IMAGES[row['cell']['images']]}",
            *(_score(row[moment]) for moment in ("dense", "pruned", "repaired")),
            f"{row['cpu_seconds'] / 60:.1f}",
        )
        for row in data["cells"]
    ]
    columns = ("model", "MACs left", "images", "dense AP", "pruned", "repaired", "computing, minutes")
    return (
        "## Repair of detectors\n\n`python -m bench.studies.repair_detectors.run`: detectors that have learned eight of "
        "COCO's images by heart, cut whole by\nl1, then repaired without training or labels. *Images*: what the repair "
        "looked at, training images that the detector has never\nseen, or its own eight. Average precision (of boxes; masks; "
        "keypoints) is on the eight: it says what of the learned came\nback, not how good the detector is.\n\n"
        + table(columns, rows)
    )


def _score(score: Row) -> str:
    kinds = [kind for kind in ("box", "mask", "keypoint") if score[kind] is not None]
    return "; ".join(f"{score[kind]:.1f}" for kind in kinds)


SECTION: Final = Section(order=98, text=text)
