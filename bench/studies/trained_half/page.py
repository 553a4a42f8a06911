"""The section on one long run."""

from typing import Any, Final

from bench.section import Section, table

Row = dict[str, Any]

PUBLISHED: Final = (
    ("CORING-V-5", 94.22, 93.26, "42.8", "47.4"),
    ("Central Filter, row 2", 93.59, 93.26, "47.1", "39.7"),
)
"""Of ResNet-56 near this size: top-1 and that of their dense network, parameters and MACs fewer, in percent."""


def text(data: Row) -> str:
    """Return the section for what ``results.json`` holds."""
    dense, before, after = data["dense"], data["cost_before"], data["cost_after"]
    recipe, epochs = data["recipe"], 0
    rows: list[tuple[object, ...]] = [("dense", "", f"{dense['top1']:.2f}")]
    rows.append(("cut and repaired, nothing trained", 0, f"{data['cycles'][0]['before']['top1']:.2f}"))
    for cycle in data["cycles"]:
        epochs += len(cycle["log"])
        rows.append((f"after cycle {cycle['cycle']}", epochs, f"{cycle['after']['top1']:.2f}"))
    fewer = [100 * (1 - after[name] / before[name]) for name in ("params", "macs")]
    published = [
        (name, "published", f"{top1:.2f} (dense {base:.2f})") for name, top1, base, _, _ in PUBLISHED
    ]
    sizes = "; ".join(f"{name}: {params} and {macs} %" for name, _, _, params, macs in PUBLISHED)
    return (
        "## One long run: half of the multiply-adds, trained\n\n`python -m bench.studies.trained_half.run`: "
        f"ResNet-56, `{data['rates']}`, cut by `surgeon`, repaired on {data['repair_images']:,} images,\n"
        f"distilled from the dense network (weight {recipe['distill']:g}) over all 50,000 training images, in cycles of "
        f"{recipe['epochs']} epochs from lr {recipe['lr']:g} to zero.\nTop-1 of {dense['images']:,} test images in "
        f"percent, looked at once per cycle. {fewer[0]:.1f} % fewer parameters, {fewer[1]:.1f} % fewer MACs. What "
        "was\ntrained is in `examples/resnet56-half`. Published rows near this size are on all 10,000 test images, "
        f"after hundreds of\nepochs ({sizes} fewer).\n\n"
        + table(("network", "epochs", "top-1 %"), [*rows, *published])
    )


SECTION: Final = Section(order=98, text=text)
