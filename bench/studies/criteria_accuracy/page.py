"""The sections on accuracy: criteria compared on ResNet-56, and CORING on 1x1 convolutions."""

from collections.abc import Callable, Sequence
from statistics import fmean
from types import MappingProxyType
from typing import Any

from bench.pages.markdown import table

Row = dict[str, Any]


def criteria_accuracy(data: Row) -> str:
    """Return the section of ``results/criteria_accuracy.json``."""
    settings, recipe = data["settings"], data["settings"]["recipe"]
    return (
        "## Criteria compared by accuracy: ResNet-56 on CIFAR-10\n\n"
        "`python -m bench.criteria_accuracy`: published weights, top-1 in percent, mean ± standard\n"
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
        (r["method"], _spread(r["before"]), _spread(r["after"]), r["seeds"], f"{left[r['method']]:.0%}")
        for r in rows
    ]
    return (
        f"\n`{rate}`: {cost['params'] / dense['params']:.0%} of the parameters and "
        f"{cost['macs'] / dense['macs']:.0%} of the MACs remain. {_verdict(rows)}\n\n"
        + table(("criterion", "pruned", "fine-tuned", "seeds", "squared weights left"), cells)
    )


def _spread(figure: Row) -> str:
    return f"{figure['mean']:.2f}" + (f" ± {figure['std']:.2f}" if figure["std"] else "")


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


def one_by_one(data: Row) -> str:
    """Return the section of ``results/one_by_one.json``, which may lack its last parts."""
    images = data["together"]["settings"]["test_images"]
    text = (
        "## CORING on 1x1 convolutions: SqueezeNet 1.1 on ImageNet\n\n"
        "`python -m bench.one_by_one`: two of three factors of a 1x1 filter have one element. The\n"
        "authors' program then keeps filters by index (compat); the default leaves such factors out.\n"
        f"Only groups made by 1x1 convolutions are pruned. Top-1 in percent of {images} images, dense\n"
        f"{data['dense']['top1']:.2f} %. That is little data: compare methods, trust no level. All groups at "
        "one rate, no\ntraining (random: mean ± standard deviation over seeds):\n\n"
        + _by_rate(data["together"], lambda row: _spread(row["before"]))
    )
    return text + "".join(render(data[name]) for name, render in _LATER_PARTS.items() if name in data)


def _by_rate(part: Row, cell: Callable[[Row], str]) -> str:
    """Return a table with one row per method and one column per rate."""
    rates, methods = part["settings"]["rates"], part["settings"]["methods"]
    found = {(row["method"], row["rate"]): cell(row) for row in part["summary"]}
    rows = [(method, *(found.get((method, rate), "") for rate in rates)) for method in methods]
    return table(("criterion", *(f"{100 * float(rate):g} % removed" for rate in rates)), rows)


def _alone(part: Row) -> str:
    """Return a table with one row per method and one column per kind of layer."""
    settings = part["settings"]
    layers = list(settings["rates"])
    kinds = list(dict.fromkeys(_kind(layer) for layer in layers))
    columns = [f"{kind} ({sum(_kind(layer) == kind for layer in layers)})" for kind in kinds]
    rows = [(method, *(_mean_of(part, method, kind) for kind in kinds)) for method in settings["methods"]]
    fraction = next(iter(settings["rates"].values()))["fraction"]
    return (
        f"\n{100 * fraction:g} % of one group at a time, no training, mean over the layers of a kind:\n\n"
        + table(("criterion", *columns), rows)
    )


def _mean_of(part: Row, method: str, kind: str) -> str:
    rows = [row for row in part["summary"] if row["method"] == method and _kind(row["rate"]) == kind]
    return f"{fmean(row['before']['mean'] for row in rows):.2f}"


def _kind(layer: str) -> str:
    return layer.rpartition(".")[2]


def _trained(part: Row) -> str:
    settings, recipe = part["settings"], part["settings"]["recipe"]
    return (
        f"\nAll groups at one rate, before → after {recipe['epochs']} epoch(s) over the other "
        f"{settings['train_images']} images (SGD, lr {recipe['lr']:g},\nbatch {recipe['batch_size']}):\n\n"
        + _by_rate(part, lambda row: f"{row['before']['mean']:.2f} → {row['after']['mean']:.2f}")
    )


_LATER_PARTS = MappingProxyType({"alone": _alone, "trained": _trained})
