"""``bench/README.md`` from the files under ``bench/results``: ``python -m bench.tables``."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.pages.criteria import criteria_accuracy, one_by_one
from bench.pages.detectors import detector_parity, detectors
from bench.pages.markdown import interval
from bench.pages.markdown import table as _table
from bench.pages.precision import alignment, int8, int8_speed, precision_parity

HERE = Path(__file__).parent
RESULTS = HERE / "results"

Row = dict[str, Any]


def main() -> None:
    """Write the page."""
    (HERE / "README.md").write_text(page())


def page() -> str:
    """Return the page for the results that exist."""
    sections: dict[str, Callable[[Any], str]] = {
        "prune_speed.json": _prune_speed,
        "rounding.json": _rounding,
        "detectors.json": detectors,
        "detector_parity.json": detector_parity,
        "precision_parity.json": precision_parity,
        "alignment.json": alignment,
        "int8.json": int8,
        "int8_speed.json": int8_speed,
        "real_weights.json": _real_weights,
        "criteria_accuracy.json": criteria_accuracy,
        "one_by_one.json": one_by_one,
        "coring_speed.json": _coring_speed,
        "oracle.json": _oracle,
    }
    made = [
        render(json.loads((RESULTS / name).read_text()))
        for name, render in sections.items()
        if (RESULTS / name).exists()
    ]
    head = (
        "# Measurements\n\nWritten by `python -m bench.tables` from the files under `results/`, which hold the raw\n"
        "samples and the machine. `make bench` measures the timed ones again. Times are of a shared two-core\n"
        "machine: read the ratios.\n"
    )
    return "\n".join([head, *made])


def _prune_speed(data: Row) -> str:
    rows = [
        (
            row["model"],
            f"{row['median_s']['compress'] * 1e3:.0f}",
            f"{row['median_s']['torch_pruning'] * 1e3:.0f}",
            f"{row['ratio']:.2f}",
        )
        for row in data["rows"]
    ]
    return (
        "## Pruning itself, against Torch-Pruning 1.6.1\n\n`python -m bench.prune_speed`: trace, score, plan and "
        "shrink at 224x224, L1, half of every group; median of 5, alternating.\n\n"
        + _table(("model", "compress ms", "Torch-Pruning ms", "ratio"), rows)
    )


def _rounding(data: Row) -> str:
    strings = "; ".join(f"{name} = `{text}`" for name, text in data["rates"].items())
    rows = [
        (
            row["model"],
            row["batch"],
            f"{row['p50_ms']:.1f}",
            f"{row['macs_reduction']:.2f}",
            interval(row["speedup"]),
            f"{row['speedup_over_macs_reduction']:.2f}" if row["speedup"] else "",
        )
        for row in data["rows"]
    ]
    return (
        "## Fewer MACs are not speed: ResNet-50 in ONNX Runtime\n\n`python -m bench.rounding`: 224x224, 2 threads, "
        f"interleaved, 95 % interval of the ratio. {strings}. The last column is the share of the\nMACs reduction "
        "that arrives as speed.\n\n"
        + _table(("widths", "batch", "p50 ms", "MACs /", "speed-up", "speed-up / MACs"), rows)
    )


def _real_weights(data: Row) -> str:
    scored = [
        (r["model"], f"{r['published_top1']:.2f}", f"{r['top1']:.2f}", r["images"]) for r in data["published"]
    ]
    pruned, squeezed = data["resnet56"], data["squeezenet1_1"]
    moments = [(name, f"{top1:.2f}") for name, top1 in pruned["top1"].items()]
    fifth = [
        (name, f"{squeezed['top1'][name]:.2f}", f"{squeezed['top5'][name]:.2f}") for name in squeezed["top1"]
    ]
    return (
        "## Published weights on real images\n\n`python -m bench.real_weights`. CIFAR-10: the first 5 000 of the "
        "10 000 test images that the authors score.\n\n"
        + _table(("model", "published top-1 %", "here %", "images"), scored)
        + f"\nResNet-56, `{pruned['rates']}` (Central Filter's layout), l1, {pruned['cost']['params']:,} parameters, "
        f"{pruned['cost']['macs']:,} MACs:\n\n"
        + _table(("moment", "top-1 %"), moments)
        + f"\nSqueezeNet 1.1 on {squeezed['images']} ImageNet images (chosen easy: compare before and after only), "
        "l1, a fifth of every group, no fine-tuning:\n\n" + _table(("moment", "top-1 %", "top-5 %"), fifth)
    )


def _coring_speed(data: Row) -> str:
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
        f"## CORING\n\n`python -m bench.coring_speed` ({data['method']}): all {ranking['convolutions']} "
        f"convolutions of ResNet-50 ranked in {ranking['median_seconds']:.1f} s, peak memory of the\nprocess "
        f"{data['peak_bytes']['after_resnet50'] / 1e9:.2f} GB. Against the double loop over pairs:\n\n"
        + _table(("weight", "double loop s", "ours ms", "ratio"), rows)
    )


def _oracle(data: list[Row]) -> str:
    rows = [
        (
            row["model"],
            "refused: " + row["refused"]
            if row["refused"]
            else f"passed {row['max_relative_difference']:.0e}",
            row["pruned_groups"],
            f"{row['params_share']:.0%}",
            "; ".join(f"{count}: {reason}" for reason, count in row["kept_whole"].items()),
        )
        for row in data
    ]
    return (
        "## The oracle over torchvision\n\n`python -m bench.oracle`: half of every free group removed, norm "
        "statistics randomised, shrunk against masked model\n(limit 1e-4). The last column says which groups stay "
        "whole and why.\n\n"
        + _table(("model", "result", "groups pruned", "parameters left", "groups kept whole"), rows)
    )


if __name__ == "__main__":
    main()
