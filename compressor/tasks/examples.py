"""Inputs that look a little like photographs, where there are none to show."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from compressor.zoo.inputs import InputSpec


def example_arrays(inputs: InputSpec, batch: int, seed: Sequence[int]) -> tuple[npt.NDArray[np.generic], ...]:
    """Return float32 arrays (batch, *shape), one per input, the same for the same seed.

    Every sample gets its own brightness and contrast on top of normal noise, as photographs do; pure noise
    of one scale would leave activations at the same few values for every input. Where the input has ranges,
    a sigmoid maps the noise into them.
    """
    generator = np.random.default_rng(list(seed))
    arrays = [_noise(generator, (batch, *shape)) for shape in inputs.shapes]
    if inputs.ranges:
        limits = zip(arrays, inputs.ranges, strict=True)
        arrays = [low + (high - low) / (1 + np.exp(-noise)) for noise, (low, high) in limits]
    return tuple(array.astype(np.float32) for array in arrays)


def _noise(generator: np.random.Generator, shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    per_sample = (shape[0], *(1 for _ in shape[1:]))
    contrast = generator.uniform(0.25, 2.0, per_sample)
    brightness = generator.normal(0.0, 0.5, per_sample)
    noise: npt.NDArray[np.float64] = brightness + contrast * generator.normal(size=shape)
    return noise
