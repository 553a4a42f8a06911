"""Which values activations take, watched on real images, batch by batch.

Only ranges or histograms are kept between batches, so that memory does not grow with the number of images.
``minmax`` takes the extremes; ``percentile`` cuts the outermost values off; ``entropy`` cuts where the
quantised distribution loses least information (Kullback-Leibler; Migacz, GTC 2017).
"""

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, TensorsData, create_calibrator

from compressor.base.errors import UsageError
from compressor.base.files import scratch
from export.backends import Feed
from export.onnx_reader import read_onnx
from export.quiet import captured_output

Method = Literal["minmax", "entropy", "percentile"]
Images = npt.NDArray[np.float32]
"""A batch (images, channels, height, width), normalised as the model expects."""

Feeds = Images | tuple[Images, ...]
"""What a model of one input takes, or of several in their order."""

_METHODS: Final = {
    "minmax": CalibrationMethod.MinMax,
    "entropy": CalibrationMethod.Entropy,
    "percentile": CalibrationMethod.Percentile,
}

_BINS: Final = 512  # of a histogram; more are finer and slower


class _OneBatch(CalibrationDataReader):  # type: ignore[misc]  # the base class is untyped
    def __init__(self, feed: Feed) -> None:
        self._feeds = iter([feed])

    def get_next(self) -> Feed | None:
        """Return the batch, then nothing."""
        return next(self._feeds, None)


def calibrate(
    model: Path, batches: Iterable[Feeds], operators: Collection[str], method: Method, percentile: float
) -> TensorsData:
    """Return the range of every activation around the given operators.

    Args:
        model: an fp32 ONNX file.
        batches: images; a few hundred are usual.
        operators: types of the nodes whose inputs and outputs are watched.
        method: how a range follows from the values seen.
        percentile: share of values inside the range, in percent; for ``percentile`` only.

    Raises:
        UsageError: no batch, an unknown method, a wrong share, or arrays that the model does not take.
    """
    if method not in _METHODS:
        raise UsageError(f"unknown calibration method {method!r}", f"choose one of {', '.join(_METHODS)}.")
    if not 0 < percentile <= 100:
        raise UsageError(f"percentile is {percentile}", "give a number above 0, up to 100.")
    names = input_names(model)
    with scratch() as folder, captured_output():
        calibrator = create_calibrator(
            model,
            sorted(operators),
            augmented_model_path=str(folder / "watched.onnx"),
            calibrate_method=_METHODS[method],
            extra_options=_options(method, percentile),
        )
        if not sum(_watch(calibrator, feed_of(names, arrays)) for arrays in batches):
            raise UsageError("there is no image to calibrate with", "give at least one batch.")
        return calibrator.compute_data()


def _options(method: Method, percentile: float) -> dict[str, object]:
    if method == "percentile":
        return {"percentile": percentile, "symmetric": False}
    # With as many bins as quantised ones, the calibrator's default, there would be nothing to choose from.
    return {"num_bins": _BINS, "num_quantized_bins": 128} if method == "entropy" else {}


def input_names(model: Path) -> tuple[str, ...]:
    """Return the names of a file's inputs, in order."""
    return tuple(value.name for value in read_onnx(model).graph.input)


def feed_of(names: Sequence[str], arrays: Feeds) -> Feed:
    """Return arrays by input name.

    Raises:
        UsageError: there are more or fewer of them than inputs.
    """
    given = arrays if isinstance(arrays, tuple) else (arrays,)
    if len(given) != len(names):
        raise UsageError(
            f"the model takes {', '.join(names)}, but a calibration batch has {len(given)} arrays",
            "give one array, or a tuple with one array per input.",
        )
    return dict(zip(names, given, strict=True))


def _watch(calibrator: Any, feed: Feed) -> int:
    try:
        calibrator.collect_data(_OneBatch(feed))
    except Exception as error:  # the binding's exceptions have no base class of their own
        shapes = ", ".join(str(array.shape) for array in feed.values())
        raise UsageError(
            f"the model refuses calibration arrays of shape {shapes}: {error}",
            "give images as the model takes them: float32, normalised, (images, channels, height, width).",
        ) from error
    return 1
