"""The section on criteria compared by accuracy."""

from collections.abc import Sequence
from typing import Any, Final

from bench.section import Section, spread, table

Row = dict[str, Any]


def text(data: Row) -> str:
    """Return the section for what ``results.json`` holds."""
    settings, recipe = data["settings"], data["settings"]["recipe"]
    return (
        "## Criteria compared by accuracy: ResNet-56 on CIFAR-10\n\n"
        "`python -m bench.studies.criteria_accuracy.run`: published weights, top-1 in percent, mean ± standard\n"
        "deviation over seeds. Every criterion leaves the same widths. The fine-tuning is reduced to\n"
        f"what one CPU thread can do: {recipe['epochs']} epochs over the same {settings['train_images']:,} "
        f"of 45,000 training images\n(SGD, lr {recipe['lr']:g}, batch {recipe['batch_size']}, last epoch's "
        f"weights). Scored are the same {settings['test_images']:,} test images,\n"
        f"dense {data['dense']['accuracy']['top1']:.2f} %. "
        f"{_calibration(settings)} Squared\nweights are those of all convolutions, seed 0: what is left says how much "
        "a criterion keeps to large weights.\n" + "".join(_rate(data, rate) for rate in settings["rates"])
    )


def _calibration(settings: Row) -> str:
    seen = {name: method["calibration_images"] for name, method in settings["methods"].items()}
    return "Calibration images: " + ", ".join(f"{name} {n}" for name, n in seen.items() if n) + "."


def _rate(data: Row, rate: str) -> str:
    rows = sorted((r for r in data["summary"] if r["rate"] == rate), key=lambda r: -float(r["after"]["mean"]))
    cost, dense = data["cost"][rate], data["dense"]["cost"]
    left = data["weights_left"][rate]
    cells = [
        (r["method"], spread(r["before"]), spread(r["after"]), r["seeds"], f"{left[r['method']]:.0%}")
        for r in rows
    ]
    return (
        f"\n`{rate}`: {cost['params'] / dense['params']:.0%} of the parameters and "
        f"{cost['macs'] / dense['macs']:.0%} of the MACs remain. {_verdict(rows)}\n\n"
        + table(("criterion", "pruned", "fine-tuned", "seeds", "squared weights left"), cells)
    )


def _verdict(rows: Sequence[Row]) -> str:
    """Say where CORING stands among ``rows``, best first, and whether that is more than noise."""
    place = [row["method"] for row in rows].index("coring")
    coring, other = rows[place], rows[1 if place == 0 else 0]
    gap = coring["after"]["mean"] - other["after"]["mean"]
    noise = max(row["after"]["std"] or 0.0 for row in (coring, other))
    weight = "more" if abs(gap) > noise else "no more"
    return (
        f"Fine-tuned, coring is number {place + 1} of {len(rows)},\n{gap:+.2f} points against "
        f"{other['method']}: {weight} than the larger of their deviations ({noise:.2f})."
    )


SECTION: Final = Section(order=100, text=text)
