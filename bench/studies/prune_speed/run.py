"""How long pruning itself takes, against Torch-Pruning: ``python -m bench.studies.prune_speed.run``.

The same job for both on the same random network at 224x224: L1 importance, half of every group, classifier
outputs kept, result physically smaller. Ours is trace + score + allocate + plan + shrink, including the copy
of the model; theirs prunes in place and its copy is made outside the clock. Runs alternate in one process.
"""

import copy
import gc
import json
import statistics
import time
import warnings
from collections.abc import Callable
from typing import Final

import torch
from torch import nn

from bench.environment import environment
from bench.studies.common.results import results_of
from compressor.channels import trace
from compressor.criteria import CRITERIA
from compressor.methods.ranking import group_views, ranked
from compressor.rates import PruneRequest, Share
from compressor.rates.allocate import allocate, best_units
from compressor.steps.plan import PrunePlan, removal
from compressor.steps.shrink import shrink
from compressor.zoo import Architecture, find

RESULTS: Final = results_of("prune_speed")
MODELS = ("resnet50", "densenet121", "mobilenet_v2")
ROUNDS = 5


def main() -> None:
    """Measure all models and write the results."""
    rows = [measure_model(name) for name in MODELS]
    RESULTS.write_text(json.dumps({"rows": rows, "environment": environment()}, indent=1) + "\n")


def measure_model(name: str) -> dict[str, object]:
    """Return medians and samples of both tools on one model, in seconds, and the ratio of medians."""
    arch = find(name)
    torch.manual_seed(0)
    model = arch.build()
    ours, theirs = _ours(model, arch), _theirs(model, arch)
    ours(), theirs()  # the first call of each pays for imports and allocator warm-up
    gc.collect()
    gc.freeze()  # collections then look at a run's own objects, not at everything that was ever imported
    samples: dict[str, list[float]] = {"compress": [], "torch_pruning": []}
    for number in range(ROUNDS):
        pair = [("compress", ours), ("torch_pruning", theirs)]
        for tool, run in pair if number % 2 == 0 else reversed(pair):
            samples[tool].append(run())
    medians = {tool: statistics.median(values) for tool, values in samples.items()}
    ratio = medians["torch_pruning"] / medians["compress"]
    print(f"{name}: {medians}, {ratio:.2f}x", flush=True)
    return {"model": name, "median_s": medians, "ratio": ratio, "samples_s": samples}


def _ours(model: nn.Module, arch: Architecture) -> Callable[[], float]:
    criterion, spec, inputs = CRITERIA.get("l1")(), PruneRequest(target=Share(0.5)), arch.example()

    def run() -> float:
        start = time.perf_counter()
        graph = trace(model, inputs)
        scores = ranked(criterion, group_views(model, graph, criterion))
        allocation = allocate(graph, spec, scores, {}, arch.name)
        keep = {i: best_units(scores[i], int(allocation.kept[i])) for i in graph.free}
        shrink(model, PrunePlan(arch=arch.name, steps=(removal(graph, keep, allocation.decisions),)))
        return time.perf_counter() - start

    return run


def _theirs(model: nn.Module, arch: Architecture) -> Callable[[], float]:
    import torch_pruning as tp

    def run() -> float:
        target = copy.deepcopy(model)
        ignored = [m for m in target.modules() if isinstance(m, nn.Linear)]
        start = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tp.pruner.MagnitudePruner(
                target,
                arch.example()[0],
                importance=tp.importance.MagnitudeImportance(p=1),
                pruning_ratio=0.5,
                ignored_layers=ignored,
            ).step()
        return time.perf_counter() - start

    return run


if __name__ == "__main__":
    main()
