import json

import pytest

from compressor.base.errors import CompressError
from export.tensorrt.precision import achieved_share, precision_share, require_precision


def layer(reads: list[dict], writes: list[dict], kind: str = "CaskConvolution") -> dict:
    return {"Name": "n", "LayerType": kind, "Inputs": reads, "Outputs": writes}


def old(words: str) -> dict:
    """Return a tensor as TensorRT 10 writes it."""
    return {"Name": "t", "Location": "Device", "Dimensions": [1, 8], "Format/Datatype": words}


def new(datatype: str) -> dict:
    """Return a tensor as TensorRT 11 writes it."""
    return {"Name": "t", "Datatype": datatype, "Format": "Row major linear format (kLINEAR)"}


@pytest.mark.parametrize(
    ("tensor", "expected"),
    [
        (old("Row major linear FP32"), "fp32"),
        (old("Channel major FP32 format"), "fp32"),
        (old("Channel major FP16 format where channel % 8 == 0"), "fp16"),
        (old("Two wide channel vectorized row major FP16 format."), "fp16"),
        (old("Thirty-two wide channel vectorized row major Int8 format."), "int8"),
        (old("Row major linear BF16 format"), "bf16"),
        (old("Half"), "fp16"),
        (old("Float"), "fp32"),
        (old("N/A due to dynamic shapes"), "unknown"),
        (new("Float"), "fp32"),
        (new("Half"), "fp16"),
        (new("BFloat16"), "bf16"),
        (new("Int8"), "int8"),
        (new("UInt8"), "uint8"),
        (new("FP8"), "fp8"),
        (new("Int64"), "int64"),
        (new("Bool"), "bool"),
        ({"Name": "t", "DataType": "Half"}, "fp16"),
        ({"Name": "t", "Format": "Row major linear FP16 format (kLINEAR)"}, "fp16"),
        ("a name only", "unknown"),
    ],
)
def test_types_of_both_dialects(tensor: object, expected: str) -> None:
    document = {"Layers": [layer([tensor], [tensor])], "Bindings": ["input"]}
    assert precision_share(json.dumps(document)) == {expected: 1.0}


def test_a_layer_counts_with_what_it_reads() -> None:
    layers = [
        layer([new("Float")], [new("Int8")], "Reformat"),  # quantises
        layer([new("Int8")], [new("Float")]),  # an INT8 convolution that also dequantises
        layer([new("Int8"), new("Int8")], [new("Int8")]),
        layer([], [new("Float")], "Constant"),
    ]
    assert precision_share(json.dumps({"Layers": layers})) == {"fp32": 0.5, "int8": 0.5}


def test_shape_tensors_do_not_hide_the_type_of_a_layer() -> None:
    layers = [layer([new("Int64"), new("Half")], [new("Half")], "kgen")]
    assert precision_share(json.dumps(layers)) == {"fp16": 1.0}


def test_layers_that_compute_shapes_are_left_out_of_the_share() -> None:
    share = precision_share(
        json.dumps([layer([new("Int64")], [new("Int64")])] * 3 + [layer([new("Half")], [])])
    )
    assert share == {"int64": 0.75, "fp16": 0.25}
    assert achieved_share(share, "fp16") == 1.0
    assert achieved_share({"int64": 1.0}, "fp16") == 0.0


def test_fp16_that_became_fp32_is_an_error() -> None:
    share = {"fp32": 0.9, "fp16": 0.1}
    with pytest.raises(
        CompressError, match=r"fp16 was asked for, but only 10%.*fp32 90%, fp16 10%"
    ) as caught:
        require_precision(share, "fp16", 0.5)
    assert "--precision fp16" in caught.value.hint
    require_precision(share, "fp32", 0.5)
    require_precision(share, "fp16", 0.1)


def test_layers_of_unknown_type_count_against_the_precision() -> None:
    names_only = precision_share(json.dumps({"Layers": ["conv1 + relu", "fc"]}))
    assert names_only == {"unknown": 1.0}
    with pytest.raises(CompressError, match="unknown 100%"):
        require_precision(names_only, "fp32", 0.5)


@pytest.mark.parametrize("text", ["", "no json", "{}", '{"Layers": []}', '{"Layers": 3}', "[]"])
def test_an_unreadable_answer_is_an_error(text: str) -> None:
    with pytest.raises(CompressError, match="engine inspector"):
        precision_share(text)
