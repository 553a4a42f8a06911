from collections.abc import Callable
from math import inf
from pathlib import Path

import numpy as np
import pytest

from compressor.base.errors import ParityError, UsageError
from export.backends import Array
from export.precision import Int8Settings, int8_auto, precision_report
from export.precision.auto import sqnr_db

Export = Callable[[str], Path]
Run = Callable[[Path, Array], Array]

# The second layer's input is a sum with a channel a thousand times larger than the others, which the second
# layer ignores: one scale for all channels leaves the others no codes.
OUTLIER = """
g (float[n,2,1,1] x) => (float[n,2,1,1] y) {
  a = Conv(x, mix)
  b = Conv(a, large)
  c = Conv(b, ignore)
  y = Conv(c, mix)
}
"""


@pytest.fixture
def outlier(parsed) -> Path:
    kernels = {"mix": [[1, 0.5], [0.25, 1]], "large": [[1, 0], [0, 1000]], "ignore": [[1, 0], [1, 0]]}
    weights = {k: np.array(v, np.float32)[:, :, None, None] for k, v in kernels.items()}
    return parsed(OUTLIER, **weights)


@pytest.fixture
def points() -> Array:
    return np.random.default_rng(0).normal(size=(200, 2, 1, 1)).astype(np.float32)


def test_the_layer_that_cannot_be_quantised_stays_float(
    outlier: Path, points: Array, output: Run, tmp_path: Path
) -> None:
    signs = output(outlier, points) > 0

    def score(path: Path) -> float:
        return 100 * float(np.mean((output(path, points) > 0) == signs))

    target = tmp_path / "int8.onnx"
    report = int8_auto(outlier, target, [points], score, limit=5)
    assert report.fp32_score == 100
    assert report.int8_score == score(target) >= 95
    worst = {entry.layer for entry in report.ranking[:2]}
    assert 1 <= len(report.kept_float) <= 2
    assert set(report.kept_float) <= worst
    assert report.precision == precision_report(target, "int8")
    assert report.precision.converted == 4 - len(report.kept_float)
    damage = [entry.sqnr_db for entry in report.ranking]
    assert damage == sorted(damage)
    assert damage[0] < 10 < damage[-1]


@pytest.mark.parametrize("needed", [0, 1, 7, 19])
def test_bisection_finds_the_smallest_number_of_float_layers(
    needed: int, exported: Export, noise: Array, tmp_path: Path
) -> None:
    def score(path: Path) -> float:
        report = precision_report(path, "int8")
        return 90.0 if report.converted <= report.nodes - needed else 89.0

    source, target = exported("resnet20_cifar"), tmp_path / "int8.onnx"
    report = int8_auto(source, target, [noise], score, limit=0.5)
    assert len(report.kept_float) == needed
    assert set(report.kept_float) == set(report.precision.kept_float)
    assert (report.fp32_score, report.int8_score, report.limit) == (90, 90, 0.5)
    assert report.scored <= 2 + 5  # the source, everything in int8, and log2 of 20 layers
    assert [p.name for p in tmp_path.iterdir()] == ["int8.onnx"]


def test_ends_stay_float_where_asked(exported: Export, noise: Array, tmp_path: Path) -> None:
    settings = Int8Settings(keep_ends=True)
    target = tmp_path / "q.onnx"
    report = int8_auto(exported("resnet20_cifar"), target, [noise], lambda _: 1.0, 0, settings=settings)
    assert report.kept_float == ()
    assert report.precision.kept_float == ("conv1", "fc")
    assert len(report.ranking) == 18


def test_it_says_when_no_mix_is_good_enough(outlier: Path, points: Array, tmp_path: Path) -> None:
    def score(path: Path) -> float:
        return 80.0 - 30 * bool(precision_report(path, "int8").converted)

    with pytest.raises(ParityError, match=r"within 0.5 points of 80.00 %: the best of 3 .* reaches 50.00 %"):
        int8_auto(outlier, tmp_path / "int8.onnx", [points], score, limit=0.5)
    assert [p.name for p in tmp_path.iterdir()] == ["parsed.onnx"]


@pytest.mark.parametrize("limit", [-1.0, float("nan"), inf])
def test_a_limit_that_is_no_limit_is_refused(
    limit: float, outlier: Path, points: Array, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="accuracy limit"):
        int8_auto(outlier, tmp_path / "int8.onnx", [points], lambda _: 1.0, limit)


def test_calibration_without_images_is_refused(outlier: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no image to calibrate"):
        int8_auto(outlier, tmp_path / "int8.onnx", iter(()), lambda _: 1.0, 1)


def test_signal_to_noise_of_known_arrays() -> None:
    ones = np.ones(100, np.float32)
    assert sqnr_db([ones], [ones * np.float32(0.9)]) == pytest.approx(20, abs=1e-4)
    assert sqnr_db([ones, ones], [ones, ones * np.float32(0.9)]) == pytest.approx(
        20 + 10 * np.log10(2), abs=1e-4
    )
    assert sqnr_db([ones], [ones]) == inf
    assert sqnr_db([0 * ones], [ones]) == -inf
