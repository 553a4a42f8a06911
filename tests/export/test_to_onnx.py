import os
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from compressor.base.errors import CompressError, UsageError
from compressor.base.files import file_digest
from compressor.tasks.examples import example_arrays
from compressor.zoo.inputs import InputSpec
from export import onnx_files
from export.to_onnx import export_onnx

pytestmark = pytest.mark.usefixtures("own_graphs")


class Segmenter(nn.Module):
    """Returns a dictionary, as torchvision's segmentation models do."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Conv2d(3, 4, 1)
        self.aux = nn.Conv2d(3, 2, 1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"out": self.out(x), "aux": self.aux(x)}


class TwoInputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Conv2d(3, 4, 3)
        self.right = nn.Conv2d(2, 4, 3)

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return self.left(x), self.right(y)


class FixedBatch(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.relu().view(2, -1)


class Branching(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        print("chatter of the model")
        warnings.warn("a warning of the model", stacklevel=1)
        return x if x.sum() > 0 else -x


class Wordy(nn.Module):
    def forward(self, x: Tensor) -> list[object]:
        return [x, "cat"]


class Prolific(nn.Module):
    """Prints and warns while it is traced, and exports well."""

    def forward(self, x: Tensor) -> Tensor:
        print("chatter of the model")
        warnings.warn("a warning of the model", stacklevel=1)
        os.write(2, b"chatter of native code\n")
        return x.relu()


def session_of(path: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def test_the_file_runs_at_every_batch_size_and_agrees(
    tmp_path: Path, tiny_net: Callable[[], nn.Module], image: InputSpec
) -> None:
    model = tiny_net().eval()
    file = export_onnx(model, image, tmp_path / "m.onnx", metadata={})
    session = session_of(file.path)
    for batch in range(1, 9):
        (x,) = example_arrays(image, batch, seed=(batch,))
        (found,) = session.run(["output"], {"input": x})
        with torch.no_grad():
            np.testing.assert_allclose(found, model(torch.from_numpy(x)).numpy(), rtol=1e-4, atol=1e-5)


def test_the_record_describes_the_file(
    tmp_path: Path, tiny_net: Callable[[], nn.Module], image: InputSpec
) -> None:
    file = export_onnx(tiny_net(), image, tmp_path / "m.onnx", metadata={"arch": "tiny", "digest": "ab12"})
    loaded = onnx.load(file.path)
    assert {entry.key: entry.value for entry in loaded.metadata_props} == {"arch": "tiny", "digest": "ab12"}
    assert [entry.version for entry in loaded.opset_import] == [file.opset] == [18]
    assert len(loaded.graph.node) == file.nodes
    assert file.path.stat().st_size == file.bytes
    assert file_digest(file.path) == file.sha256
    axis = loaded.graph.input[0].type.tensor_type.shape.dim[0]
    assert axis.dim_param == "batch"
    assert sorted(tmp_path.iterdir()) == [file.path]


def test_the_same_model_gives_the_same_bytes_and_no_paths(
    tmp_path: Path, tiny_net: Callable[[], nn.Module], image: InputSpec
) -> None:
    first = export_onnx(tiny_net(), image, tmp_path / "a.onnx", metadata={})
    second = export_onnx(tiny_net(), image, tmp_path / "b.onnx", metadata={})
    assert first.sha256 == second.sha256
    assert b"site-packages" not in first.path.read_bytes()
    assert b".py" not in first.path.read_bytes()


def test_batch_norm_uses_its_running_statistics_and_the_mode_comes_back(
    tmp_path: Path, tiny_net: Callable[[], nn.Module], image: InputSpec
) -> None:
    model = tiny_net().train()
    model[1].eval()
    export_onnx(model, image, tmp_path / "m.onnx", metadata={})
    assert [module.training for module in model] == [True, False, True, True, True, True]
    (x,) = example_arrays(image, 3, seed=(5,))
    (found,) = session_of(tmp_path / "m.onnx").run(None, {"input": x})
    with torch.no_grad():
        np.testing.assert_allclose(found, model.eval()(torch.from_numpy(x)).numpy(), rtol=1e-4, atol=1e-5)


def test_dictionary_outputs_keep_their_keys(tmp_path: Path, image: InputSpec) -> None:
    model = Segmenter()
    session = session_of(export_onnx(model, image, tmp_path / "m.onnx", metadata={}).path)
    assert [value.name for value in session.get_outputs()] == ["out", "aux"]
    (x,) = example_arrays(image, 3, seed=(1,))
    out, aux = session.run(["out", "aux"], {"input": x})
    with torch.no_grad():
        expected = model(torch.from_numpy(x))
    np.testing.assert_allclose(out, expected["out"].numpy(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(aux, expected["aux"].numpy(), rtol=1e-4, atol=1e-5)


def test_several_inputs_and_outputs_are_numbered(tmp_path: Path) -> None:
    inputs = InputSpec(shapes=((3, 16, 16), (2, 8, 8)))
    session = session_of(export_onnx(TwoInputs(), inputs, tmp_path / "m.onnx", metadata={}).path)
    assert [value.name for value in session.get_inputs()] == ["input_0", "input_1"]
    assert [value.name for value in session.get_outputs()] == ["output_0", "output_1"]
    x, y = example_arrays(inputs, 5, seed=(0,))
    left, right = session.run(None, {"input_0": x, "input_1": y})
    assert (left.shape, right.shape) == ((5, 4, 14, 14), (5, 4, 6, 6))


def test_an_existing_file_is_not_touched(
    tmp_path: Path, tiny_net: Callable[[], nn.Module], image: InputSpec
) -> None:
    path = tmp_path / "m.onnx"
    path.write_text("precious")
    with pytest.raises(UsageError, match="exists"):
        export_onnx(tiny_net(), image, path, metadata={})
    assert path.read_text() == "precious"


def test_a_missing_folder_is_named(
    tmp_path: Path, tiny_net: Callable[[], nn.Module], image: InputSpec
) -> None:
    with pytest.raises(UsageError, match="nowhere"):
        export_onnx(tiny_net(), image, tmp_path / "nowhere" / "m.onnx", metadata={})


def test_a_model_that_branches_on_values_is_refused_with_the_reason(
    tmp_path: Path, image: InputSpec, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(CompressError, match="Branching cannot be exported") as caught:
        export_onnx(Branching(), image, tmp_path / "m.onnx", metadata={})
    assert capfd.readouterr() == ("", "")
    assert "data-dependent" in caught.value.message
    assert "a warning of the model" in caught.value.message
    assert "\x1b[" not in caught.value.message
    assert "forward" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_a_frozen_batch_is_refused(tmp_path: Path, image: InputSpec) -> None:
    with pytest.raises(CompressError, match="FixedBatch fixes its batch size"):
        export_onnx(FixedBatch(), image, tmp_path / "m.onnx", metadata={})
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_does_not_take_the_input_is_refused(tmp_path: Path, image: InputSpec) -> None:
    with pytest.raises(CompressError, match="Conv2d cannot be exported"):
        export_onnx(nn.Conv2d(4, 4, 1), image, tmp_path / "m.onnx", metadata={})


def test_outputs_that_are_no_tensors_are_refused(tmp_path: Path, image: InputSpec) -> None:
    with pytest.raises(UsageError, match="list of Tensor, str"):
        export_onnx(Wordy(), image, tmp_path / "m.onnx", metadata={})


def test_nothing_is_printed_or_warned(
    tmp_path: Path, image: InputSpec, capfd: pytest.CaptureFixture[str]
) -> None:
    export_onnx(Prolific(), image, tmp_path / "m.onnx", metadata={})
    assert capfd.readouterr() == ("", "")


def test_nothing_is_left_where_the_checker_fails(
    tmp_path: Path, tiny_net: Callable[[], nn.Module], image: InputSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise onnx.checker.ValidationError("bad node")

    monkeypatch.setattr(onnx.checker, "check_model", refuse)
    with pytest.raises(CompressError, match="bad node"):
        export_onnx(tiny_net(), image, tmp_path / "m.onnx", metadata={})
    assert list(tmp_path.iterdir()) == []


def test_weights_beyond_the_limit_lie_beside_the_graph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_files, "ONE_FILE_BYTES", 1000)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 512)).eval()
    inputs = InputSpec(shapes=((1, 8, 8),))
    file = export_onnx(model, inputs, tmp_path / "m.onnx", metadata={})
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["m.onnx", "m.onnx.data"]
    assert file.path.name == "m.onnx"
    assert file.bytes > 64 * 512 * 4 > file.path.stat().st_size
    assert file.sha256 == file_digest(tmp_path / "m.onnx", tmp_path / "m.onnx.data")
    (x,) = example_arrays(inputs, 3, seed=(0,))
    (found,) = session_of(file.path).run(None, {"input": x})
    with torch.no_grad():
        np.testing.assert_allclose(found, model(torch.from_numpy(x)).numpy(), rtol=1e-4, atol=1e-5)
