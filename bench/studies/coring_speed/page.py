"""The section on the speed of CORING."""

from typing import Any, Final

from bench.section import Section, table

Row = dict[str, Any]


def text(data: Row) -> str:
    """Return the section for what ``results.json`` holds."""
    ranking = data["resnet50_convolutions"]
    rows = [
        (
            "x".join(str(n) for n in layer["shape"]),
            f"{layer['double_loop_seconds']:.2f}",
            f"{1e3 * layer['double_loop_seconds'] / layer['ratio']:.1f}",
            f"{layer['ratio']:.0f}",
        )
        for layer in data["against_double_loop"]
    ]
    return (
        f"## CORING\n\n`python -m bench.studies.coring_speed.run` ({data['method']}): all {ranking['convolutions']} "
        f"convolutions of ResNet-50 ranked in {ranking['median_seconds']:.1f} s, peak memory of the\nprocess "
        f"{data['peak_bytes']['after_resnet50'] / 1e9:.2f} GB. Against the double loop over pairs:\n\n"
        + table(("weight", "double loop s", "ours ms", "ratio"), rows)
    )


SECTION: Final = Section(order=120, text=text, timed=True)
