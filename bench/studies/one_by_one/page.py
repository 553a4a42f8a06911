"""The section on CORING and 1x1 convolutions."""

from collections.abc import Callable
from statistics import fmean
from types import MappingProxyType
from typing import Any, Final

from bench.section import Section, spread, table

Row = dict[str, Any]


def text(data: Row) -> str:
    """Return the section for what ``results.json`` holds, which may lack its last parts."""
    images = data["together"]["settings"]["test_images"]
    together = (
        "## CORING on 1x1 convolutions: SqueezeNet 1.1 on ImageNet\n\n"
        "`python -m bench.studies.one_by_one.run`: two of three factors of a 1x1 filter have one element. The\n"
        "authors' program then keeps filters by index (compat); the default leaves such factors out.\n"
        f"Only groups made by 1x1 convolutions are pruned. Top-1 in percent of {images} images, dense\n"
        f"{data['dense']['top1']:.2f} %. That is little data: compare methods, trust no level. All groups at "
        "one rate, no\ntraining (random: mean ± standard deviation over seeds):\n\n"
        + _by_rate(data["together"], lambda row: spread(row["before"]))
    )
    return together + "".join(render(data[name]) for name, render in _LATER_PARTS.items() if name in data)


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


SECTION: Final = Section(order=110, text=text)
