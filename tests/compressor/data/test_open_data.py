"""Bad input, in one table: every line is an error that names what is wrong and what to do."""

import numpy as np
import pytest

from compressor.base.errors import UsageError
from compressor.data import DATASETS, check_labels, open_data
from compressor.zoo.inputs import InputSpec

BAD_SPECS = [
    ("", "unknown dataset"),
    ("digit", "did you mean digits"),
    ("digits:8x8", "takes no argument"),
    ("npz", "npz:FILE"),
    ("npz:nowhere.npz", "no file nowhere.npz"),
    ("cifar10", "cifar10:DIR"),
    ("cifar10:nowhere", "data_batch_1"),
    ("imagefolder", "imagefolder:DIR"),
    ("imagefolder:nowhere", "nowhere/train"),
    ("synthetic", "synthetic:512x3x32x32"),
    ("synthetic:0x3x32x32", "synthetic:512x3x32x32"),
    ("synthetic:8x3x32", "synthetic:512x3x32x32"),
    ("synthetic:8x3x28x28", "images are 3x28x28, but the model takes 3x32x32"),
    ("synthetic:8x2x32x32", "images are 2x32x32"),
    ("synthetic:1x3x32x32", "at least two images"),
]


@pytest.mark.parametrize(("spec", "words"), BAD_SPECS)
def test_bad_spec(spec, words, inputs):
    with pytest.raises(UsageError) as caught:
        open_data(spec, inputs)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        (InputSpec(shapes=((7,),)), "not an image"),
        (InputSpec(shapes=((1, 32, 32),)), "mean has 3 values"),
        (InputSpec(shapes=((3, 32, 32),), std=(1.0, 1.0)), "std has 2 values"),
        (InputSpec(shapes=((1, 32, 32),), mean=(0.5,), std=(0.5,)), "but the model takes 1x32x32"),
    ],
)
def test_model_input_that_cannot_be_fed(inputs, words):
    with pytest.raises(UsageError, match=words):
        open_data("synthetic:8x3x32x32", inputs)


def test_gray_data_suits_a_colour_model_and_a_gray_one(inputs, cpu):
    gray = InputSpec(shapes=((1, 32, 32),), mean=(0.5,), std=(0.5,))
    for spec in (inputs, gray):
        images, _ = next(open_data("synthetic:8x1x32x32", spec).val.batches(8, device=cpu))
        assert images.shape[1:] == spec.image


def test_labels_beyond_the_models_classes(inputs):
    with pytest.raises(UsageError, match="there are 3 classes"):
        open_data("digits", inputs, classes=3)
    assert open_data("digits", inputs, classes=10).classes == 10


@pytest.mark.parametrize("kind", [kind for kind in DATASETS if kind != "synthetic"])
def test_outputs_that_stand_for_other_classes_are_refused(kind, spec_of, inputs):
    """A model of ImageNet scores 0 % on any other data; that is a mistake, and no result."""
    spec = spec_of(kind)
    classes = open_data(spec, inputs).classes
    with pytest.raises(UsageError, match=rf"1000 outputs, but \S+ has {classes} classes") as found:
        open_data(spec, inputs, classes=1000)
    assert f"--classes {classes}" in found.value.hint


def test_random_labels_fit_every_model(inputs):
    assert open_data("synthetic:8x3x32x32", inputs, classes=1000).classes == 10


def test_negative_label_is_named_with_its_position():
    with pytest.raises(UsageError, match="image 1 has label -1"):
        check_labels(np.array([0, -1, 5]), 5, where="here")


def test_a_missing_extra_is_named(monkeypatch, inputs):
    monkeypatch.setitem(__import__("sys").modules, "sklearn.datasets", None)
    with pytest.raises(UsageError) as caught:
        open_data("digits", inputs)
    assert caught.value.hint == "pip install compress-cnn[digits]"


def test_all_kinds_are_registered():
    assert set(DATASETS) >= {"cifar10", "digits", "imagefolder", "npz", "synthetic"}
