from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import nn

from compressor.base.errors import UsageError
from compressor.tasks.examples import example_arrays
from compressor.zoo.inputs import InputSpec
from export.model_io import example_tensors, input_names, named_outputs

TWO = InputSpec(shapes=((3, 8, 8), (5,)))


def test_names_of_inputs() -> None:
    assert input_names(InputSpec(shapes=((3, 8, 8),))) == ("input",)
    assert input_names(TWO) == ("input_0", "input_1")


def test_names_of_outputs() -> None:
    one, two = torch.zeros(1), torch.ones(1)
    assert named_outputs(one) == {"output": one}
    assert list(named_outputs([one])) == ["output"]
    assert list(named_outputs((one, two))) == ["output_0", "output_1"]
    assert list(named_outputs(OrderedDict(out=one, aux=two))) == ["out", "aux"]


@pytest.mark.parametrize(
    ("output", "described"),
    [
        (None, "NoneType"),
        ("text", "a str"),
        ((), "a tuple of nothing"),
        ({}, "a dictionary with nothing"),
        ({"out": 1}, "a dictionary with int"),
        ([[torch.zeros(1)]], "a list of list"),
    ],
)
def test_outputs_without_a_name_are_described(output: object, described: str) -> None:
    with pytest.raises(UsageError, match=described):
        named_outputs(output)


def test_examples_repeat_with_the_seed_and_differ_without() -> None:
    first, again, other = (example_arrays(TWO, 2, seed) for seed in ((1, 2), (1, 2), (1, 3)))
    assert [array.shape for array in first] == [(2, 3, 8, 8), (2, 5)]
    assert all(array.dtype == np.float32 for array in first)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(first, other, strict=True))
    assert not np.array_equal(first[0][0], first[0][1])


def test_examples_have_the_type_of_the_model() -> None:
    model = nn.Linear(5, 1).double()
    assert [t.dtype for t in example_tensors(model, TWO, 2)] == [torch.float64, torch.float64]
    assert [t.dtype for t in example_tensors(nn.ReLU(), TWO, 2)] == [torch.float32, torch.float32]
