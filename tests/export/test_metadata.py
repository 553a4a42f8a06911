"""What a file says that it takes is held against what it takes."""

import json
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from compressor.base.errors import ArtifactError
from compressor.zoo.inputs import InputSpec
from export.metadata import read_exported, read_input


def _file(path: Path, said: dict[str, Any], axes: list[str | int]) -> Path:
    ports = [helper.make_tensor_value_info(n, TensorProto.FLOAT, axes) for n in ("input", "y")]
    graph = helper.make_graph([helper.make_node("Relu", ["input"], ["y"])], "g", ports[:1], ports[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    helper.set_model_props(model, {"compress.input": json.dumps(said)})
    onnx.save(model, path)
    return path


TRUE = {
    "any batch": ({"shapes": [[3, 8, 8]]}, ["batch", 3, 8, 8]),
    "any size": ({"shapes": [[3, 8, 8]]}, ["batch", 3, "height", "width"]),
    "one image": ({"shapes": [[3, 8, 8]], "max_batch": 1}, [1, 3, 8, 8]),
}
FALSE = {
    "another size": ({"shapes": [[3, 8, 16]]}, ["batch", 3, 8, 8]),
    "another rank": ({"shapes": [[8, 8]]}, ["batch", 3, 8, 8]),
    "two inputs": ({"shapes": [[3, 8, 8], [2]]}, ["batch", 3, 8, 8]),
    "any batch where one is fixed": ({"shapes": [[3, 8, 8]]}, [1, 3, 8, 8]),
    "another batch": ({"shapes": [[3, 8, 8]], "max_batch": 4}, [1, 3, 8, 8]),
}


@pytest.mark.parametrize("case", TRUE)
def test_the_truth_is_read(case: str, tmp_path: Path) -> None:
    said, axes = TRUE[case]
    assert read_input(_file(tmp_path / "m.onnx", said, axes)).image == (3, 8, 8)


@pytest.mark.parametrize("case", FALSE)
def test_a_lie_is_refused(case: str, tmp_path: Path) -> None:
    said, axes = FALSE[case]
    file = _file(tmp_path / "m.onnx", said, axes)
    with pytest.raises(ArtifactError, match=r"the file itself takes .*3x8x8"):
        read_input(file)
    with pytest.raises(ArtifactError, match="the file itself takes"):
        read_exported(file).input(InputSpec(shapes=((3, 8, 8),)).shapes)
