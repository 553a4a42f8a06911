import numpy as np
import onnx_ir as ir
import pytest

from bench.profile.graph import Layer, module_of

SCOPES = "pkg.torch.onnx.name_scopes"


def convolution(weight: str, scopes: str | None) -> ir.Node:
    value = ir.Value(name=weight, const_value=ir.tensor(np.ones((4, 4, 1, 1), np.float32), name=weight))
    node = ir.node("Conv", [ir.Value(name="x"), value])
    if scopes is not None:
        node.metadata_props[SCOPES] = scopes
    return node


@pytest.mark.parametrize(
    ("weight", "scopes", "module"),
    [
        ("layer1.0.conv1.weight", "['', 'layer1', 'layer1.0', 'layer1.0.bn1', 'bn']", "layer1.0.conv1"),
        ("layer1.0.conv1.weight_quantized", None, "layer1.0.conv1"),
        ("val_3", "['', 'layer1', 'layer1.0', 'conv2d']", "layer1.0"),
        ("val_3", "['', 'conv2d']", ""),
        ("val_3", "['', '_empty_nn_module_stack_from_metadata_hook', 'clone']", ""),
        ("val_3", None, ""),
        ("val_3", "__import__('os').abort()", ""),
        ("val_3", "7", ""),
        ("val_3", "[" * 500, ""),
        ("val_3", "['', '\\x00', 'x']", "\x00"),
    ],
)
def test_where_a_module_s_name_comes_from(weight: str, scopes: str | None, module: str) -> None:
    assert module_of(convolution(weight, scopes)) == module


def test_macs_follow_from_shapes() -> None:
    grouped = Layer(operator="Conv", weight=(6, 2, 3, 5), groups=2)
    assert (grouped.in_channels, grouped.out_channels, grouped.depthwise) == (4, 6, False)
    assert grouped.macs((3, 4, 9, 9), (3, 6, 7, 5)) == 3 * 7 * 5 * (6 * 2 * 3 * 5)
    depthwise = Layer(operator="Conv", weight=(8, 1, 3, 3), groups=8)
    assert depthwise.depthwise
    up = Layer(operator="ConvTranspose", weight=(4, 3, 2, 2), groups=2)
    assert (up.in_channels, up.out_channels) == (4, 6)
    assert up.macs((1, 4, 5, 5), (1, 6, 10, 10)) == 25 * (4 * 3 * 2 * 2)
    product = Layer(operator="MatMul", weight=(7, 11))
    assert product.macs((2, 3, 7), (2, 3, 11)) == 2 * 3 * 7 * 11
