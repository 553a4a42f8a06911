"""The section on published weights."""

from typing import Any, Final

from bench.section import Section, table

Row = dict[str, Any]


def text(data: Row) -> str:
    """Return the section for what ``results.json`` holds."""
    scored = [
        (r["model"], f"{r['published_top1']:.2f}", f"{r['top1']:.2f}", r["images"]) for r in data["published"]
    ]
    pruned, squeezed = data["resnet56"], data["squeezenet1_1"]
    moments = [(name, f"{top1:.2f}") for name, top1 in pruned["top1"].items()]
    fifth = [
        (name, f"{squeezed['top1'][name]:.2f}", f"{squeezed['top5'][name]:.2f}") for name in squeezed["top1"]
    ]
    return (
        "## Published weights on real images\n\n`python -m bench.studies.real_weights.run`. CIFAR-10: the first 5 000 of the "
        "10 000 test images that the authors score.\n\n"
        + table(("model", "published top-1 %", "here %", "images"), scored)
        + f"\nResNet-56, `{pruned['rates']}` (Central Filter's layout), l1, {pruned['cost']['params']:,} parameters, "
        f"{pruned['cost']['macs']:,} MACs:\n\n"
        + table(("moment", "top-1 %"), moments)
        + f"\nSqueezeNet 1.1 on {squeezed['images']} ImageNet images (chosen easy: compare before and after only), "
        "l1, a fifth of every group, no fine-tuning:\n\n" + table(("moment", "top-1 %", "top-5 %"), fifth)
    )


SECTION: Final = Section(order=90, text=text)
