import pytest

from bench.projection.layers import Layer
from bench.projection.roofline import Ceilings, Range
from bench.studies.projection.page import text
from bench.studies.projection.run import rows_of

CEILINGS = Ceilings(
    precision="fp32", element_bytes=4, flops_per_s=Range(low=0.5e9, high=2e9),
    bytes_per_s=Range(low=1e9, high=1e9), launch_s=0.0,
)  # fmt: skip


def network(macs: int) -> tuple[Layer, ...]:
    return (Layer(name="conv", operation="convolution", macs=macs, weights=1, moved=1),)


def test_errors_are_of_the_middle_and_of_the_ratio() -> None:
    layers = {"dense": network(5_000_000), "A": network(2_000_000)}
    ratio = {"value": 2.0, "low": 1.9, "high": 2.1, "verdict": "faster", "baseline": "dense"}
    results = [
        {"model": "dense", "p50_ms": 8.0, "speedup": None},
        {"model": "A", "p50_ms": 4.0, "speedup": ratio},
    ]
    dense, a = rows_of(results, layers, CEILINGS)
    assert dense["projected_ms"] == pytest.approx({"low": 5, "middle": 10, "high": 20})
    assert (dense["error"], a["error"]) == pytest.approx((0.25, 0.0))
    assert (a["projected_speedup"], a["speedup_error"], a["macs_error"]) == pytest.approx((2.5, 0.25, 0.25))
    page = text(
        {
            "rates": {"A": "[0.]"},
            "parts": [
                {
                    "threads": 2, "rows": [dense, a],
                    "ceilings": {
                        "flops_per_s": {"low": 1e9, "high": 2e9}, "bytes_per_s": {"low": 3e9, "high": 4e9},
                        "launch_s": 1e-6,
                    },
                }
            ],
        }
    )  # fmt: skip
    assert "| dense | 2 | 8.0 | 5.0..20.0 | +25% | 1 | 1 |  |  |" in page
    assert "| A | 2 | 4.0 | 2.0..8.0 | +0% | 2.00 (1.90..2.10) | 2.50 | +25% | +25% |" in page
    assert "1..2 GFLOPS, 3..4 GB/s, 1.0 us per layer" in page
