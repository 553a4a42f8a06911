"""One document of each kind, as the commands write them; names in them may be anything."""

import math
from typing import Any

import numpy as np

from bench.comparison import BenchReport, compare_with_first
from bench.document import report_to_json
from bench.gate.judge import Judged
from bench.gate.metrics import ratios_of
from bench.gate.report import judged_to_json, latency_check
from bench.gate.rule import decide, detectable
from bench.results import BenchResult, BenchSettings, Probe, Search, Served, ServerSettings

MACHINE = {"cpu": "an abacus", "physical_cores": "2", "onnxruntime": "1.31.1"}
Json = dict[str, Any]


def bench(times: dict[str, float], batches: tuple[int, ...] = (1, 8), rounds: int = 12) -> Json:
    """Return a benchmark of models with given times; the last one drifts."""
    results = [
        _result(name, ms * (1 + batch / 2), batch, rounds, index, drift=0.1 * (index == len(times) - 1))
        for batch in batches
        for index, (name, ms) in enumerate(times.items())
    ]
    report = BenchReport(
        results=tuple(results),
        comparisons=compare_with_first(results, seed=0),
        environment=MACHINE,
        notes=("inputs are synthetic",),
    )
    return report_to_json(report)


def server(model: str = "half.onnx") -> Json:
    """Return queries at 50 a second, and a search that ended at 90."""
    settings = ServerSettings(
        backend="onnxruntime", device="cpu", precision="fp32", threads=2, batch=1, rate_per_s=50.0,
        warmup_runs=10, seed=0, shapes=((3, 32, 32),), spinning="default", placement=("0-1",),
    )  # fmt: skip
    samples_ms = np.random.default_rng(3).exponential(4.0, size=1000) + 5.0
    probes = (
        Probe(rate_per_s=90.0, queries=1000, late=0), Probe(rate_per_s=120.0, queries=1000, late=70),
    )  # fmt: skip
    search = Search(model=model, backend="onnxruntime", batch=1, limit_ms=40.0, call_ms=5.0, probes=probes)
    served = Served(
        model=model, digest="cd" * 32, settings=settings, samples_ms=tuple(samples_ms.tolist())
    )  # fmt: skip
    report = BenchReport(
        results=(), comparisons=(), environment=MACHINE, notes=(), mode="server", searches=(search,),
        served=(served,),
    )  # fmt: skip
    return report_to_json(report)


def _result(name: str, ms: float, batch: int, rounds: int, seed: int, drift: float) -> BenchResult:
    noise = np.random.default_rng(seed + 100 * batch).lognormal(sigma=0.04, size=(rounds, 10))
    noise *= 1 + drift * np.arange(rounds)[:, None] / rounds
    settings = BenchSettings(
        backend="onnxruntime", device="cpu", precision="fp32", threads=2, batch=batch, blocks=rounds,
        runs_per_block=10, warmup_runs=10, discarded_runs=2, gap_ms=30.0, budget_s=1.0, shapes=((3, 32, 32),),
    )  # fmt: skip
    samples = tuple(tuple(block) for block in (ms * noise).tolist())
    return BenchResult(
        model=name, digest=f"{seed:064x}", settings=settings, samples_ms=samples, environment=MACHINE
    )


def gate(candidate: str = "new.onnx", baseline: str = "old.onnx", change: float = 0.12) -> Json:
    """Return a gate of a candidate that is slower by a share."""
    noise = np.random.default_rng(7).lognormal(sigma=0.02, size=(2, 11, 6)).tolist()
    rounds = tuple(
        {"baseline": tuple(before), "candidate": tuple((1 + change) * ms for ms in after)}
        for before, after in zip(*noise, strict=True)
    )
    ratios = tuple(ratios_of(rounds, "p50"))
    decision = decide(ratios, math.log1p(0.05), 0.05)
    judged = Judged(
        metric="p50", ratios=ratios, verdict="fail" if decision.outcome == "fail" else "pass",
        decision=decision, weak=decision.outcome == "open", baseline_ms=1.0, candidate_ms=1 + change,
        detectable=detectable(ratios, 0.05), rounds=rounds,
    )  # fmt: skip
    check = latency_check(1, judged, 2.0)
    return {
        "schema_version": 1, "candidate": candidate, "baseline": baseline, "backend": "onnxruntime",
        "verdict": judged.verdict,
        "checks": [
            {"name": check.name, "outcome": check.outcome, "words": check.words},
            {"name": "size", "outcome": "pass", "words": "1.20 MB, allowed 2.00 MB"},
        ],
        "latency": {"batch 1, p50": judged_to_json(judged)}, "quality": {}, "size_bytes": 1_200_000,
    }  # fmt: skip


def profile(before: str = "dense.onnx", after: str = "half.onnx", layers: int = 9) -> Json:
    """Return a profile of two models side by side."""
    modules = [f"layer{1 + index // 3}.{index % 3}.conv2" for index in range(layers)]
    models = [_profiled(name, modules, share) for name, share in ((before, 1.0), (after, 0.6))]
    pairs = [
        {
            "module": module, "kind": "Conv", "before_ms": first["ms"], "after_ms": second["ms"],
            "saved_ms": first["ms"] - second["ms"],
        }
        for module, first, second in zip(modules, models[0]["nodes"], models[1]["nodes"], strict=True)
    ]  # fmt: skip
    return {
        "schema_version": 1, "kind": "profile", "models": models, "pairs": pairs, "environment": MACHINE,
        "notes": ["profiled on one machine"],
    }  # fmt: skip


def _profiled(name: str, modules: list[str], share: float) -> Json:
    times = [share * (0.4 + 0.07 * (index * 5 % 7)) for index in range(len(modules))]
    nodes = [
        {
            "name": f"/{module}/Conv", "kind": "Conv", "module": module, "ms": ms, "share": ms / sum(times),
            "precision": "fp32", "macs": int(share * share * 2e6 * (1 + index % 4)), "in_channels": 64,
            "out_channels": int(64 * share),
        }
        for index, (module, ms) in enumerate(zip(modules, times, strict=True))
    ]  # fmt: skip
    lint = {
        "kind": "width not aligned", "module": modules[0], "ms": 0.1,
        "what": "38 channels are no multiple of 4: the layer leaves the blocked layout",
        "next": "prune with --round-to 8, or export with --align 8",
    }  # fmt: skip
    return {
        "name": name, "digest": "ab" * 32, "backend": "onnxruntime", "threads": 2, "batch": 1,
        "precision": "fp32", "shapes": [[3, 32, 32]], "total_ms": sum(times), "reorders": 4, "nodes": nodes,
        "lints": [lint] if share < 1 else [],
    }  # fmt: skip


def scores(model: str = "half.onnx", top1: float = 91.2, data: str = "digits") -> Json:
    """Return what a model scored."""
    return {
        "schema_version": 1, "model": model, "data": data, "split": "test", "synthetic": False, "caution": "",
        "top1": top1, "top5": 99.0, "images": 360, "loss": 0.3,
    }  # fmt: skip


def inspection(model: str = "resnet20_cifar") -> Json:
    """Return a study of three groups."""
    groups = [
        {
            "name": f"layer{index}.0.conv1", "size": 16 * index, "loss_per_macs": index * 0.7,
            "points": [
                {"rate": rate, "kept": int(16 * index * (1 - rate)), "quality": 92 - 30 * rate * index,
                 "macs": 1000, "params": 100}
                for rate in (0.25, 0.5)
            ],
        }
        for index in (1, 2, 3)
    ]  # fmt: skip
    return {
        "schema_version": 1, "model": model, "weights": "a.th", "method": "l1", "data": "digits",
        "split": "val", "images": 360, "synthetic": False, "caution": "", "groups": groups,
        "dense": {"quality": 92.1, "macs": 2000, "params": 200},
        "most_sensitive_first": [group["name"] for group in reversed(groups)],
    }  # fmt: skip


def every() -> dict[str, Json]:
    """Return a document of each kind but artifacts, which are folders, by the kind's name."""
    return {
        "bench": bench({"dense.onnx": 10.0, "half.onnx": 6.0}), "gate": gate(), "profile": profile(),
        "eval": scores(), "inspect": inspection(),
    }  # fmt: skip
