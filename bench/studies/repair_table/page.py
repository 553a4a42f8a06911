"""The section on all criteria, cut, merged, repaired and fine-tuned."""

from collections.abc import Callable, Sequence
from statistics import fmean, stdev
from typing import Any, Final

from bench.section import Section, spread, table

Row = dict[str, Any]
_MISSING: Final = "..."


def text(data: Row) -> str:
    """Return the section for what ``results.json`` holds."""
    dense, recipe = data["dense"], data["recipe"]
    return (
        "## All criteria: cut, merged, repaired, trained for an epoch\n\n`python -m bench.studies.repair_table.run`. "
        f"ResNet-56, published weights, CIFAR-10: top-1 of {dense['images']:,} test images in percent\n"
        f"(dense {dense['top1']:.2f}), mean ± deviation over seeds where there are several. A seed draws the "
        f"{data['looked']} images that criteria look at,\nthose that repair looks at (in brackets how many), and the "
        f"{data['learned']:,} of the one epoch of training (SGD, lr {recipe['lr']:g}, batch {recipe['batch_size']}). "
        f"Repair reads\nno label; its ridge is {data['strength']:g} everywhere. *Merged*: deleted channels are added to "
        f"those that stand for them. {_missing(data)}\n"
        + "".join(_rates(data, rates) for rates in dict.fromkeys(row["rates"] for row in data["wanted"]))
    )


def _missing(data: Row) -> str:
    """Say how much of the table is there."""
    done = [row["cell"] for row in data["cells"]]
    left = [cell for cell in data["wanted"] if cell not in done]
    if not left:
        return ""
    kinds = {
        "repair with seed 0": [c for c in left if not c["tuned"] and c["seed"] == 0],
        "training": [c for c in left if c["tuned"]],
        "repair with other seeds": [c for c in left if not c["tuned"] and c["seed"]],
    }
    words = ", ".join(f"{len(cells)} of {kind}" for kind, cells in kinds.items() if cells)
    return f"Of {len(data['wanted'])} cells {len(left)} are not measured yet ({words}): {_MISSING}."


def _rates(data: Row, rates: str) -> str:
    rows = [row for row in data["cells"] if row["cell"]["rates"] == rates]
    if not rows:
        return f"\n`{rates}`: nothing is measured yet.\n"
    numbers = sorted({c["images"] for c in data["wanted"] if c["images"] and not c["tuned"]})
    columns: dict[str, Callable[[Row], Row | None]] = {
        "pruned": lambda row: None if row["cell"]["tuned"] else row["pruned"],
        "merged": lambda row: None if row["cell"]["tuned"] else row["merged"],
        **{f"repaired ({n})": _score(n, tuned=False) for n in numbers},
        "pruned, trained": _score(0, tuned=True),
        "repaired, trained": _score(512, tuned=True),
    }
    methods = dict.fromkeys(cell["method"] for cell in data["wanted"] if cell["rates"] == rates)
    cells = []
    for name in methods:
        mine = [row for row in rows if row["cell"]["method"] == name]
        cells.append((name, *(_figure(mine, of) for of in columns.values())))
    macs = rows[0]["cost"]["macs"] / 1e6
    return f"\n`{rates}` ({macs:.1f} M MACs left):\n\n" + table(("criterion", *columns), cells)


def _score(images: int, *, tuned: bool) -> Callable[[Row], Row | None]:
    def of(row: Row) -> Row | None:
        cell = row["cell"]
        found: Row | None = row["score"] if (cell["images"], cell["tuned"]) == (images, tuned) else None
        return found

    return of


def _figure(rows: Sequence[Row], of: Callable[[Row], Row | None]) -> str:
    """Return a mean over seeds, one value for each."""
    found = {row["cell"]["seed"]: score["top1"] for row in rows if (score := of(row)) is not None}
    values = list(found.values())
    if not values:
        return _MISSING
    return spread({"mean": fmean(values), "std": stdev(values) if len(values) > 1 else None})


SECTION: Final = Section(order=99, text=text)
