"""The section on repair in closed form."""

from typing import Any, Final

from bench.section import Section, table

Row = dict[str, Any]


def text(data: Row) -> str:
    """Return the section for what ``results.json`` holds."""
    rows = [
        (
            f"`{row['cell']['rates']}`",
            row["cell"]["criterion"],
            row["cell"]["images"],
            row["cell"]["strength"] or "chosen",
            f"{row['pruned']['top1']:.2f}",
            f"{row['repaired']['top1']:.2f}",
        )
        for row in data["cells"]
    ]
    dense = data["dense"]
    return (
        "## Repair in closed form\n\n`python -m bench.studies.repair.run`. ResNet-56, published weights, CIFAR-10, "
        f"{dense['images']:,} test images (dense {dense['top1']:.2f} %), rates in CORING's layout. No label is looked at "
        "and nothing is trained; every image that the fit sees is one that the checkpoint was trained on.\n\n"
        + table(("rates", "criterion", "images", "ridge", "pruned top-1 %", "repaired"), rows)
    )


SECTION: Final = Section(order=95, text=text)
