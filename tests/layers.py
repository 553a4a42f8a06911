"""ONNX files whose cost is known in proportion, made without exporting a model."""

import itertools
import json

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from compressor.base.documents import encode
from compressor.zoo.inputs import InputSpec


def behind_layers(model: onnx.ModelProto, count: int) -> onnx.ModelProto:
    """Return a model behind convolutions that cost more than all of it."""
    taken = model.graph.input[0].name
    for node in model.graph.node:
        for position, name in enumerate(node.input):
            node.input[position] = "behind" if name == taken else name
    nodes, weights = convolutions(taken, "behind", count)
    for number, node in enumerate(nodes):
        model.graph.node.insert(number, node)
    model.graph.initializer.extend(weights)
    return model


def layers_alone(shape: tuple[int, ...], count: int) -> onnx.ModelProto:
    """Return nothing but convolutions, for images of a shape."""
    nodes, weights = convolutions("input", "output", count)
    ports = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape])
        for name in ("input", "output")
    ]
    graph = helper.make_graph(nodes, "layers", ports[:1], ports[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    helper.set_model_props(model, {"compress.input": json.dumps(encode(InputSpec(shapes=(shape,))))})
    return model


def convolutions(source: str, target: str, count: int) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Return pairs of 3 x 3 convolutions, 3 to 64 channels and back, and their weights."""
    weights = [
        numpy_helper.from_array(np.full(shape, 0.01, np.float32), name)
        for name, shape in (("widen", (64, 3, 3, 3)), ("narrow", (3, 64, 3, 3)))
    ]
    names = [source, *(f"extra{number}" for number in range(1, 2 * count)), target]
    nodes = [
        helper.make_node("Conv", [a, "narrow" if number % 2 else "widen"], [b], pads=[1, 1, 1, 1])
        for number, (a, b) in enumerate(itertools.pairwise(names))
    ]
    return nodes, weights
