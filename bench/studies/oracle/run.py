"""The oracle over torchvision: is the shrunk model the masked one, for every architecture?

``python -m bench.studies.oracle.run`` checks all classification and segmentation models and writes the list.
Half of every free group goes; norm statistics are randomised; weights are random. Groups under a norm over
channels are kept whole, and the reason is listed.
"""

import json
import math
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
import torch
from torch import nn

from bench.studies.common.results import results_of
from compressor.base.errors import CompressError
from compressor.channels import trace
from compressor.steps.plan import PrunePlan, removal
from compressor.steps.shrink import check, shrink
from compressor.zoo import FAMILIES, find

RESULTS: Final = results_of("oracle")
_SIDES = {"inception_v3": 96, "maxvit_t": 224, "vit": 224}
_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


@dataclass(frozen=True, slots=True, kw_only=True)
class OracleRow:
    """What the oracle says of one architecture.

    Attributes:
        model: name.
        max_relative_difference: between shrunk and masked outputs, None if nothing was pruned.
        pruned_groups: groups that lost half of their units.
        params_share: parameters that remain.
        kept_whole: reason -> number of groups kept whole for it, inputs and outputs left out.
        refused: why the whole model cannot be pruned, or None.
    """

    model: str
    max_relative_difference: float | None
    pruned_groups: int
    params_share: float
    kept_whole: dict[str, int]
    refused: str | None = None


def torchvision_names() -> list[str]:
    """Return the names of all torchvision classification and segmentation models."""
    return list(FAMILIES.get("torchvision").names())


def oracle_row(name: str) -> OracleRow:
    """Prune half of every free group of one model and compare."""
    side = next((s for prefix, s in _SIDES.items() if name.startswith(prefix)), 64)
    inputs = [torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0))]
    model = build_random(name)
    try:
        graph = trace(model, inputs)
    except CompressError as error:
        return OracleRow(
            model=name, max_relative_difference=None, pruned_groups=0, params_share=1.0, kept_whole={},
            refused=error.message,
        )  # fmt: skip
    rng = np.random.default_rng(0)
    sizes = {i: graph.groups[i].size for i in graph.free if graph.groups[i].inexact is None}
    keep = {i: np.sort(rng.choice(n, (n + 1) // 2, replace=False)) for i, n in sizes.items()}
    plan = PrunePlan(arch=name, steps=(removal(graph, keep, ()),))
    report = check(model, plan, inputs)
    return OracleRow(
        model=name,
        max_relative_difference=report.max_relative_difference,
        pruned_groups=len(keep),
        params_share=_params(shrink(model, plan)) / _params(model),
        kept_whole=_reasons(g.frozen or g.inexact for g in graph.groups),
    )


def _reasons(reasons: Iterable[str | None]) -> dict[str, int]:
    counted: dict[str, int] = {}
    for reason in reasons:
        words = (reason or "").rsplit(" in ", maxsplit=1)[0]
        if words and not words.endswith("of the model"):
            counted[words] = counted.get(words, 0) + 1
    return counted


def _params(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def build_random(name: str) -> nn.Module:
    """Return a model with cheap random weights of a scale that keeps signals alive through any depth."""
    model = _uninitialised(name)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            _fill(parameter, generator)
        for key, buffer in model.named_buffers():
            if key.endswith(_STATISTICS):
                buffer.fill_(float(key.endswith("running_var")))
    return model.eval()


def _uninitialised(name: str) -> nn.Module:
    """Build without initialising where the constructor allows it: the largest models take half a minute."""
    try:
        with torch.device("meta"):
            model = find(name).build()
    except NotImplementedError:  # RegNet computes its widths with tensors
        return find(name).build()
    constants = [key for key, _ in model.named_buffers() if not key.endswith(_STATISTICS)]
    return find(name).build() if constants else model.to_empty(device="cpu")


def _fill(parameter: torch.Tensor, generator: torch.Generator) -> None:
    if parameter.ndim < 2:
        parameter.uniform_(0.5, 1.0, generator=generator)
        return
    bound = math.sqrt(6 / max(parameter[0].numel(), 1))
    parameter.uniform_(-bound, bound, generator=generator)


def main() -> None:
    """Check all models, or those named, and write the list."""
    rows = []
    for name in sys.argv[1:] or torchvision_names():
        row = oracle_row(name)
        rows.append(row)
        print(describe(row), flush=True)
    if not sys.argv[1:]:
        RESULTS.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")


def describe(row: OracleRow) -> str:
    """Return one line: passed or refused, and why."""
    if row.refused:
        return f"{row.model:28} refused: {row.refused}"
    kept = "; ".join(f"{n} groups whole: {reason}" for reason, n in row.kept_whole.items())
    return (
        f"{row.model:28} passed {row.max_relative_difference:.1e}, {row.pruned_groups} groups, "
        f"{row.params_share:.0%} of parameters left{', ' if kept else ''}{kept}"
    )


if __name__ == "__main__":
    main()
