"""How fast CORING ranks filters: ``python -m bench.studies.coring_speed.run``.

Measured are all convolutions of a ResNet-50, and two layers against the straightforward form of the method:
a decomposition per filter, a metric per pair of filters, and an elimination that searches the whole matrix at
every step. Both run on one thread (ours chooses so itself), on random weights, by turns. The ranks of the
double loop may differ from ours where float32 and float64 order near-equal distances differently.
"""

import gc
import json
import resource
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.environment import environment
from bench.studies.common.results import results_of
from compressor.base.modes import single_threaded
from compressor.criteria.coring.similarity import factors, pairwise, saliency

RESULTS: Final = results_of("coring_speed")
SCHEMA_VERSION: Final = 1
_LAYERS: Final = ((256, 64, 1, 1), (128, 128, 3, 3))
_ROUNDS: Final = 3
_REPEATS: Final = 7


def coring_speed() -> dict[str, Any]:
    """Measure, and return a JSON-able dictionary: seconds, ratios, and bytes at the peak."""
    before = _peak_bytes()
    resnet50 = _all_convolutions()
    peak = _peak_bytes()
    return {
        "schema_version": SCHEMA_VERSION,
        "method": "hosvd, vbd, min_sum, rank 1",
        "threads": torch.get_num_threads(),
        "resnet50_convolutions": resnet50,
        "peak_bytes": {"after_imports": before, "after_resnet50": peak},
        "against_double_loop": [_against_double_loop(shape) for shape in _LAYERS],
        "environment": environment(),
    }


def ranked(weight: Tensor) -> Tensor:
    """Rank filters as the product does, (filters,)."""
    return saliency(pairwise(factors(weight)))


def ranked_by_loops(weight: Tensor) -> NDArray[np.float64]:
    """Rank filters one pair at a time, (filters,): float32, signs fixed, factors of length 1 left out."""
    filters = [_factors_of_one(x) for x in weight]
    matrix = np.array([[_distance(a, b) for b in filters] for a in filters])
    return _eliminated(matrix)


def _factors_of_one(x: Tensor) -> list[Tensor]:
    found = []
    for mode, size in enumerate(x.shape):
        if size > 1:
            vector = torch.linalg.svd(x.movedim(mode, 0).flatten(1), full_matrices=False)[0][:, 0]
            found.append(vector * vector[vector.abs().argmax()].sign())
    return found


def _distance(a: list[Tensor], b: list[Tensor]) -> float:
    each = [(u - v).var() / (u.var() + v.var()) for u, v in zip(a, b, strict=True)]
    return float(torch.stack(each).mean())


def _eliminated(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    size = len(matrix)
    scores = np.full(size, size - 1.0)
    np.fill_diagonal(matrix, np.inf)
    for step in range(size - 1):
        i, j = divmod(int(matrix.argmin()), size)
        matrix[i, j] = matrix[j, i] = np.inf
        row, column = matrix[i], matrix[:, j]
        loser = j if row[row != np.inf].sum() > column[column != np.inf].sum() else i
        matrix[loser] = matrix[:, loser] = np.inf
        scores[loser] = step
    return scores


def _all_convolutions() -> dict[str, Any]:
    from torchvision.models import resnet50

    torch.manual_seed(0)
    model = resnet50(weights=None)
    weights = [m.weight.detach() for m in model.modules() if isinstance(m, nn.Conv2d)]
    seconds = _seconds(lambda: [ranked(w) for w in weights], 3)
    return {
        "convolutions": len(weights),
        "filters": sum(len(w) for w in weights),
        "seconds": seconds,
        "median_seconds": statistics.median(seconds),
    }


def _against_double_loop(shape: tuple[int, ...]) -> dict[str, Any]:
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    ours, loops = [], []
    for _ in range(_ROUNDS):
        ours += _seconds(lambda: ranked(weight), _REPEATS)
        with single_threaded():
            loops += _seconds(lambda: ranked_by_loops(weight), 1)
    return {
        "shape": list(shape),
        "seconds": ours,
        "double_loop_samples": loops,
        "double_loop_seconds": statistics.median(loops),
        "ratio": statistics.median(loops) / statistics.median(ours),
        "equal_ranks_share": float(np.mean(ranked(weight).numpy() == ranked_by_loops(weight))),
    }


def _seconds(call: Callable[[], object], repeats: int) -> list[float]:
    samples = []
    for _ in range(repeats):
        gc.collect()
        begin = time.perf_counter()
        call()
        samples.append(time.perf_counter() - begin)
    return samples


def _peak_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def main() -> None:
    """Measure and write the result."""
    RESULTS.write_text(json.dumps(coring_speed(), indent=2) + "\n", encoding="utf-8")
    sys.stdout.write(f"{RESULTS}\n")


if __name__ == "__main__":
    main()
