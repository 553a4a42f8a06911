import math

import pytest

from bench.projection.devices import DEVICES
from bench.projection.fit import fitted
from bench.projection.layers import Layer
from bench.projection.probes import NOTHING, PROBES, Probe, seconds_per_layer
from bench.projection.roofline import Ceilings, Range, project, projected_speedup

CEILINGS = Ceilings(
    precision="fp16", element_bytes=2, flops_per_s=Range(low=1e9, high=2e9),
    bytes_per_s=Range(low=1e6, high=4e6), launch_s=1e-3,
)  # fmt: skip
BUSY = Layer(name="busy", operation="convolution", macs=5_000_000, weights=10, moved=20)
WIDE = Layer(name="wide", operation="add", macs=0, weights=0, moved=4000)


def test_a_layer_takes_the_longer_of_both_and_a_launch() -> None:
    found = project([BUSY, WIDE], CEILINGS, 1)
    # 10 MFLOPs in 10 or 5 ms; 8 kB in 8 or 2 ms; two launches
    assert found.corners_ms == pytest.approx((20, 14, 15, 9))
    assert (found.range_ms.low, found.range_ms.high) == pytest.approx((9, 20))
    middle = 10 / math.sqrt(2) + 4 + 2
    assert found.middle_ms == pytest.approx(middle)
    assert found.limited_by == pytest.approx(
        {"arithmetic": 10 / math.sqrt(2) / middle, "memory": 4 / middle, "launch": 2 / middle}
    )


def test_a_batch_multiplies_all_but_weights_and_launches() -> None:
    one, eight = (project([WIDE], CEILINGS, batch).range_ms.low for batch in (1, 8))
    assert (one, eight) == pytest.approx((2 + 1, 16 + 1))


def test_both_networks_meet_the_same_ceilings() -> None:
    whole, half = project([BUSY, BUSY], CEILINGS, 1), project([BUSY], CEILINGS, 1)
    ratio = projected_speedup(whole, half)
    assert (ratio.low, ratio.high) == pytest.approx((2, 2))
    assert whole.range_ms.low / half.range_ms.high < 1.2  # all that the ranges alone would tell


@pytest.mark.parametrize("name", [*DEVICES])
def test_every_device_says_what_it_sustains(name: str) -> None:
    device = DEVICES.get(name)
    assert device.title
    assert device.source
    found = device.ceilings(1)
    assert len({one.precision for one in found}) == len(found) > 0
    for one in found:
        assert 0 < one.flops_per_s.low <= one.flops_per_s.high
        assert 0 < one.bytes_per_s.low <= one.bytes_per_s.high
        assert one.launch_s > 0
        assert one.element_bytes == {"fp32": 4, "fp16": 2, "int8": 1}[one.precision]
    assert [*device.ceilings(1)] == [*found]  # measured once


def test_a_fit_finds_the_ceilings_that_times_were_made_with() -> None:
    flops_per_s, bytes_per_s, launch_s = 40e9, 10e9, 2e-6

    def seconds(probe: Probe) -> float:
        layer = probe.layer
        return max(layer.flops(1) / flops_per_s, 4 * layer.elements(1) / bytes_per_s) + launch_s

    times = {**{probe: seconds(probe) for probe in PROBES}, NOTHING: launch_s}
    found = fitted([*times.items()])
    assert found.launch_s == launch_s
    assert found.flops_per_s.middle == pytest.approx(flops_per_s, rel=0.02)
    assert found.bytes_per_s.middle == pytest.approx(bytes_per_s, rel=0.02)
    assert found.flops_per_s.high < 1.05 * found.flops_per_s.low
    noisy = [(probe, time * (1.5 if number % 2 else 1)) for number, (probe, time) in enumerate(times.items())]
    assert fitted(noisy).flops_per_s.high > 1.1 * fitted(noisy).flops_per_s.low


def test_a_probe_that_does_more_takes_longer() -> None:
    small, large = (Probe(channels=channels, kernel=3, side=28) for channels in (16, 128))
    assert seconds_per_layer(large, 1) > 4 * seconds_per_layer(small, 1) > 0


def test_nonsense_cannot_be_fitted() -> None:
    with pytest.raises(ValueError, match="two ceilings"):
        fitted([(probe, 1.0) for probe in PROBES if probe != NOTHING])
