"""Model repositories: what Triton would read, parsed with Triton's own protocol buffers."""

import importlib.util
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from google.protobuf import text_encoding, text_format
from torch import Tensor, nn

from compressor.base.errors import ArtifactError, CompressError, UsageError
from compressor.zoo.inputs import InputSpec
from export.tensorrt.device import GpuFacts
from export.tensorrt.sidecar import EngineRecord, record_to_text, sha256, sidecar_path
from export.tensorrt.source import OnnxSource
from export.to_onnx import export_onnx
from export.triton import TritonSettings, write_repository
from export.triton.pbtxt import Symbol, to_pbtxt

ORT_TO_TRITON = {
    "tensor(float)": "TYPE_FP32",
    "tensor(int64)": "TYPE_INT64",
    "tensor(bool)": "TYPE_BOOL",
}
NET = TritonSettings(name="net")


@pytest.fixture(scope="session")
def schema() -> Any:
    """Return Triton's generated module; its package is not imported, since that would need gRPC."""
    found = importlib.util.find_spec("tritonclient")
    if found is None or not found.submodule_search_locations:
        pytest.skip("needs Triton's protocol buffers: pip install tritonclient")
    path = Path(found.submodule_search_locations[0]) / "grpc" / "model_config_pb2.py"
    spec = importlib.util.spec_from_file_location("triton_model_config_pb2", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def parse(schema: Any) -> Callable[[Path], Any]:
    return lambda folder: text_format.Parse((folder / "config.pbtxt").read_text(), schema.ModelConfig())


@pytest.fixture
def classifier(tmp_path: Path, tiny_onnx: bytes) -> Path:
    path = tmp_path / "classifier.onnx"
    path.write_bytes(tiny_onnx)
    return path


class Detections(nn.Module):
    """The outputs of a Mask R-CNN of static shapes, without its work."""

    def forward(self, images: Tensor, sizes: Tensor) -> dict[str, Tensor]:
        level = images.mean(dim=(1, 2, 3))
        scores = level[:, None] * torch.linspace(1, 0, 7)
        boxes = scores[:, :, None] * sizes.repeat(1, 2)[:, None]
        return {
            "num_detections": (scores > 0).sum(dim=1),
            "boxes": boxes,
            "scores": scores,
            "labels": (scores * 9).to(torch.int64),
            "masks": scores[:, :, None, None].expand(-1, -1, 14, 14) * 0.5,
            "converged": level > 0,
        }


@pytest.fixture(scope="session")
def detector_onnx(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("detector") / "detector.onnx"
    inputs = InputSpec(shapes=((3, 32, 48), (2,)), ranges=((0.0, 1.0), (16.0, 32.0)))
    return export_onnx(Detections(), inputs, path, metadata={"compress.task": "detection"}).path


@pytest.mark.parametrize("kind", ["classifier", "detector"])
def test_ports_are_those_that_onnx_runtime_sees(
    kind: str, classifier: Path, detector_onnx: Path, tmp_path: Path, schema: Any, parse: Any
) -> None:
    file = {"classifier": classifier, "detector": detector_onnx}[kind]
    folder = write_repository(file, tmp_path / "models", NET)
    session = onnxruntime.InferenceSession(str(folder / "1" / "model.onnx"))
    config = parse(folder)
    for written, seen in (
        (config.input, session.get_inputs()),
        (config.output, session.get_outputs()),
    ):
        assert [port.name for port in written] == [port.name for port in seen]
        for port, node in zip(written, seen, strict=True):
            assert schema.DataType.Name(port.data_type) == ORT_TO_TRITON[node.type]
            served = list(port.reshape.shape) if port.HasField("reshape") else list(port.dims)
            assert served == node.shape[1:]
            assert node.shape[0] == "batch"
            assert len(port.dims) > 0, "Triton refuses ports without dims"
    assert config.max_batch_size == 8


def test_outputs_of_a_detector(detector_onnx: Path, tmp_path: Path, parse: Any) -> None:
    config = parse(write_repository(detector_onnx, tmp_path, replace(NET, labels=("none", "cat"))))
    outputs = {port.name: port for port in config.output}
    assert list(outputs["boxes"].dims) == [7, 4]
    assert list(outputs["masks"].dims) == [7, 14, 14]
    for name in ("num_detections", "converged"):
        assert list(outputs[name].dims) == [1]
        assert outputs[name].HasField("reshape")
        assert list(outputs[name].reshape.shape) == []
    # class numbers are values there, and Triton names positions
    assert {port.label_filename for port in config.output} == {""}
    assert (tmp_path / "net" / "labels.txt").read_text() == "none\ncat\n"


def test_everything_about_a_classifier(classifier: Path, tmp_path: Path, schema: Any, parse: Any) -> None:
    settings = TritonSettings(
        name="net", max_batch=16, preferred_batches=(16, 8), max_queue_delay_us=2500,
        instances=2, gpus=(0, 3), labels=("a", "b", "ç", 'd "q"', "e"),
    )  # fmt: skip
    folder = write_repository(classifier, tmp_path / "models", settings)
    assert folder == tmp_path / "models" / "net"
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert files == ["1/model.onnx", "config.pbtxt", "labels.txt"]
    assert (folder / "1" / "model.onnx").read_bytes() == classifier.read_bytes()
    assert (folder / "labels.txt").read_text(encoding="utf-8").splitlines() == list(settings.labels)
    config = parse(folder)
    assert (config.name, config.platform, config.backend) == ("net", "onnxruntime_onnx", "onnxruntime")
    assert config.max_batch_size == 16
    assert config.output[0].label_filename == "labels.txt"
    assert list(config.dynamic_batching.preferred_batch_size) == [8, 16]
    assert config.dynamic_batching.max_queue_delay_microseconds == 2500
    (group,) = config.instance_group
    assert (group.kind, group.count, list(group.gpus)) == (schema.ModelInstanceGroup.KIND_GPU, 2, [0, 3])
    assert config.version_policy.latest.num_versions == 1
    assert [warmup.batch_size for warmup in config.model_warmup] == [1, 16]
    for warmup in config.model_warmup:
        assert list(warmup.inputs) == ["input"]
        assert list(warmup.inputs["input"].dims) == [3, 16, 16]
        assert warmup.inputs["input"].data_type == config.input[0].data_type
        assert warmup.inputs["input"].random_data


def test_one_image_at_a_time_on_the_cpu(classifier: Path, tmp_path: Path, schema: Any, parse: Any) -> None:
    config = parse(write_repository(classifier, tmp_path, replace(NET, max_batch=1, device="cpu")))
    assert not config.HasField("dynamic_batching")
    assert [warmup.batch_size for warmup in config.model_warmup] == [1]
    (group,) = config.instance_group
    assert group.kind == schema.ModelInstanceGroup.KIND_CPU
    assert list(group.gpus) == []


def test_a_fixed_batch_is_part_of_the_shape(classifier: Path, tmp_path: Path, parse: Any) -> None:
    model = onnx.load(classifier)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 4
    onnx.save(model, classifier)
    with pytest.raises(UsageError, match="fixes its batch size"):
        write_repository(classifier, tmp_path / "models", NET)
    assert not (tmp_path / "models").exists()
    config = parse(write_repository(classifier, tmp_path / "models", replace(NET, max_batch=0)))
    assert config.max_batch_size == 0
    assert list(config.input[0].dims) == [4, 3, 16, 16]
    assert list(config.output[0].dims) == [4, 5]
    assert not config.HasField("dynamic_batching")


def test_other_models_are_left_alone_and_none_is_overwritten(classifier: Path, tmp_path: Path) -> None:
    repository = tmp_path / "models"
    for name in ("one", "two"):
        write_repository(classifier, repository, replace(NET, name=name))
    config = repository / "one" / "config.pbtxt"
    config.write_text("mine")
    with pytest.raises(UsageError, match="one exists"):
        write_repository(classifier, repository, replace(NET, name="one"))
    assert config.read_text() == "mine"
    assert sorted(path.name for path in repository.iterdir()) == ["one", "two"]


def test_a_server_of_another_user_can_read_it(classifier: Path, tmp_path: Path) -> None:
    folder = write_repository(classifier, tmp_path / "models", NET)
    plain = tmp_path / "plain"
    plain.mkdir()
    for path in (folder, folder / "1"):
        assert path.stat().st_mode == plain.stat().st_mode


def test_a_repository_that_cannot_be_written(classifier: Path, tmp_path: Path) -> None:
    with pytest.raises(CompressError, match="cannot write"):
        write_repository(classifier, tmp_path / "absent" / "models", NET)
    with pytest.raises(CompressError, match="cannot write"):
        write_repository(classifier, classifier, NET)


def test_nothing_is_left_of_a_failure(
    classifier: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfile", full)
    with pytest.raises(CompressError, match="No space left"):
        write_repository(classifier, tmp_path / "models", NET)
    assert list((tmp_path / "models").iterdir()) == []


def test_weights_in_a_file_of_their_own_come_along(classifier: Path, tmp_path: Path) -> None:
    model = onnx.load(classifier)
    file = tmp_path / "big.onnx"
    onnx.save(model, file, save_as_external_data=True, location="big.onnx.data", size_threshold=100)
    folder = write_repository(file, tmp_path / "models", NET)
    x = np.ones((2, 3, 16, 16), np.float32)
    found, expected = (
        onnxruntime.InferenceSession(str(path)).run(None, {"input": x})[0]
        for path in (folder / "1" / "model.onnx", classifier)
    )
    np.testing.assert_array_equal(found, expected)
    (tmp_path / "big.onnx.data").unlink()
    with pytest.raises(UsageError, match=r"big\.onnx\.data"):
        write_repository(file, tmp_path / "models", replace(NET, name="again"))


@pytest.mark.parametrize("content", [b"", b"hello", None])
def test_files_that_are_no_models(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "m.onnx"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UsageError, match=r"m\.onnx"):
        write_repository(file, tmp_path / "models", NET)
    with pytest.raises(UsageError, match="neither"):
        write_repository(tmp_path / "m.pt", tmp_path / "models", NET)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": ""},
        {"name": "../net"},
        {"name": ".hidden"},
        {"max_batch": -1},
        {"preferred_batches": (4, 9)},
        {"preferred_batches": (0,)},
        {"max_queue_delay_us": -1},
        {"instances": 0},
        {"gpus": (-1,)},
        {"device": "cpu", "gpus": (0,)},
        {"labels": ("a\nb",)},
        {"labels": ("a\rb",)},
        {"labels": ("\x1b[2J",)},
        {"labels": ("a\u2028b",)},
        {"labels": ("\udcff",)},
    ],
)
def test_settings_that_triton_would_refuse(changes: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        replace(NET, **changes)


def test_labels_must_be_as_many_as_classes(classifier: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="4 class names for output 'output'"):
        write_repository(classifier, tmp_path / "models", replace(NET, labels=tuple("abcd")))


def test_strings_survive_the_text_form(schema: Any) -> None:
    for text in ('a "quoted" one', "back\\slash", "line\nbreak", "größe", "tab\t", "\x01"):
        message = {"name": text, "instance_group": [{"kind": Symbol("KIND_CPU"), "passive": True}]}
        config = text_format.Parse(to_pbtxt(message), schema.ModelConfig())
        assert config.name == text
        assert config.instance_group[0].passive


@pytest.fixture
def engine(classifier: Path) -> Path:
    """Return an engine with its sidecar; nothing here opens it."""
    path = classifier.with_suffix(".engine")
    path.write_bytes(b"an engine")
    gpu = GpuFacts(name="Tesla T4", compute_capability="7.5", cuda="12.8", driver="550.54.14")
    record = EngineRecord(
        tensorrt="10.13.3.9", gpu=gpu, onnx_sha256=OnnxSource.read(classifier).sha256,
        engine_sha256=sha256(b"an engine"), timing_cache_sha256="", timing_cache_reused=False,
        batches=(1, 4, 8), inputs=(), workspace_bytes=2**30, optimization_level=3, tf32=False,
        precision="fp16", precision_share={"fp16": 1.0}, metadata={},
    )  # fmt: skip
    sidecar_path(path).write_text(record_to_text(record))
    return path


def test_an_engine_is_described_by_its_onnx_file(
    engine: Path, classifier: Path, tmp_path: Path, parse: Any
) -> None:
    folder = write_repository(engine, tmp_path / "models", NET, onnx=classifier)
    assert [path.name for path in (folder / "1").iterdir()] == ["model.plan"]
    assert (folder / "1" / "model.plan").read_bytes() == b"an engine"
    config = parse(folder)
    assert (config.platform, config.backend) == ("tensorrt_plan", "tensorrt")
    assert list(config.input[0].dims) == [3, 16, 16]
    assert list(config.output[0].dims) == [5]


def test_engines_that_do_not_go_with_the_request(
    engine: Path, classifier: Path, detector_onnx: Path, tmp_path: Path
) -> None:
    models = tmp_path / "models"
    with pytest.raises(UsageError, match="outputs"):
        write_repository(engine, models, NET)
    with pytest.raises(UsageError, match="CPU"):
        write_repository(engine, models, replace(NET, device="cpu"), onnx=classifier)
    with pytest.raises(UsageError, match="batches of 1 to 8, Triton would send 1 to 9"):
        write_repository(engine, models, replace(NET, max_batch=9), onnx=classifier)
    with pytest.raises(ArtifactError, match="not built from"):
        write_repository(engine, models, NET, onnx=detector_onnx)
    engine.write_bytes(b"another")
    with pytest.raises(ArtifactError, match="sidecar"):
        write_repository(engine, models, NET, onnx=classifier)
    assert not models.exists()


HOSTILE = '\x1b[2J\u2028a"b\'c\\d\r\n}\nname: "x'


def test_names_of_ports_are_text_in_the_configuration(classifier: Path, tmp_path: Path) -> None:
    model = onnx.load(classifier)
    old = model.graph.input[0].name
    model.graph.input[0].name = HOSTILE
    for node in model.graph.node:
        node.input[:] = [HOSTILE if name == old else name for name in node.input]
    onnx.save(model, classifier)
    text = (write_repository(classifier, tmp_path / "models", NET) / "config.pbtxt").read_text()
    assert all(c == "\n" or " " <= c <= "~" for c in text)
    (written,) = re.findall(r'^input \{\n  name: "(.*)"$', text, flags=re.MULTILINE)
    assert text_encoding.CUnescape(written).decode() == HOSTILE
    parsed = text_format.Parse(f'name: "{written}"', onnx.ValueInfoProto())
    assert parsed.name == HOSTILE
