"""What every registered task must do, on a model of its kind that is as small as it can be."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from compressor.base.errors import ParityError, UsageError
from compressor.data import DataSplits
from compressor.tasks.opened import Pair
from compressor.tasks.parity import ParityReport
from compressor.tasks.recipe import Recipe
from compressor.tasks.task import TASKS, Task, calibration
from compressor.zoo.architecture import as_built
from compressor.zoo.inputs import InputSpec
from detection.deployed import deployed
from export.backends import BACKENDS, Session, SessionOptions
from export.backends.pytorch import TorchSession
from export.metadata import TASK, read_exported
from export.proof import OpenedFile
from export.to_onnx import export_onnx
from tests.detection.coco_factory import write_coco
from tests.export.test_wrong_detectors import CANVAS, detector

CPU = torch.device("cpu")
OPTIONS = SessionOptions(threads=1)


@dataclass(frozen=True, kw_only=True, eq=False)
class Example:
    """A task with a model, its input, the name of its data, and the model as it is exported."""

    name: str
    model: nn.Module
    inputs: InputSpec
    spec: str
    module: nn.Module
    taken: InputSpec
    file: Path

    @property
    def task(self) -> Task:
        return TASKS.get(self.name)

    def data(self) -> DataSplits:
        return self.task.data.open(self.spec, self.inputs, self.model)

    def batch(self) -> object:
        return next(iter(self.data().train.batches(3, device=CPU)))

    def session(self) -> Session:
        return BACKENDS.get("onnxruntime").open(self.file, OPTIONS)


def classifier(folder: Path) -> tuple[nn.Module, InputSpec, str]:
    torch.manual_seed(0)
    pooled = (nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten())
    model = nn.Sequential(*pooled, nn.Linear(32, 10)).eval()
    return model, InputSpec(shapes=((3, 8, 8),)), "synthetic:40x3x8x8"


class Pyramid(nn.Module):
    """A backbone's map as the only level of a feature pyramid."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.body = backbone

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {"0": self.body(images)}


def boxes(folder: Path) -> tuple[nn.Module, InputSpec, str]:
    names = tuple({"id": number, "name": f"thing {number}"} for number in (1, 2, 3))
    model = detector("boxes")
    model.backbone = Pyramid(model.backbone)
    return model, CANVAS, f"coco:{write_coco(folder / 'coco', categories=names)}"


MAKERS: dict[str, tuple[Callable[[Path], tuple[nn.Module, InputSpec, str]], Callable]] = {
    "classification": (classifier, as_built),
    "detection": (boxes, deployed),
}


@pytest.fixture(scope="module", params=sorted(MAKERS))
def example(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Example:
    name, folder = request.param, tmp_path_factory.mktemp(request.param)
    make, form = MAKERS[name]
    model, inputs, spec = make(folder)
    module, taken = form(model, inputs)
    said = TASKS.get(name).serving.properties(model)
    properties = {TASK: name, **{f"compress.{key}": value for key, value in said.items()}}
    export_onnx(module, taken, folder / "m.onnx", metadata=properties)
    return Example(
        name=name, model=model, inputs=inputs, spec=spec, module=module, taken=taken, file=folder / "m.onnx"
    )  # fmt: skip


def test_every_task_has_an_example() -> None:
    assert set(MAKERS) == set(TASKS)


def test_its_data_is_for_it_and_counts_its_images(example: Example) -> None:
    data, part = example.data(), example.task.data
    assert TASKS.get(data.task) is example.task
    part.check(example.model, data)
    batch = example.batch()
    assert part.size(batch) == 3
    assert [part.size(piece) for piece in part.pieces(batch, 2)] == [2, 1]
    assert [part.size(piece) for piece in part.pieces(batch, 9)] == [1, 1, 1]
    assert part.calibration_images % part.batch_size == 0
    assert sum(map(part.size, calibration(data))) == min(len(data.train), part.calibration_images)


def test_data_that_there_is_none_of_is_a_sentence(example: Example) -> None:
    with pytest.raises(UsageError):
        example.task.data.open("nonsense:here", example.inputs, example.model)


def test_its_loss_is_finite_and_teaches_every_weight_that_it_reads(example: Example) -> None:
    learning, batch = example.task.learning, example.batch()
    example.model.zero_grad(set_to_none=True)
    loss = learning.loss(example.model, batch, learning.recipe, None)
    assert loss.ndim == 0
    assert torch.isfinite(loss)
    loss.backward()
    gradients = [p.grad for p in example.model.parameters()]
    assert all(gradient is not None and torch.isfinite(gradient).all() for gradient in gradients)
    assert sum(bool(gradient.any()) for gradient in gradients) > len(gradients) / 2
    example.model.zero_grad(set_to_none=True)


def test_a_student_that_is_its_teacher_has_nothing_to_learn(example: Example) -> None:
    learning, batch = example.task.learning, example.batch()
    with torch.no_grad():
        taught = learning.teach(example.model, batch)
        apart = learning.loss(example.model, batch, Recipe(distill=1.0), taught)
    assert float(apart) == pytest.approx(0, abs=1e-4)


def test_it_scores_the_same_on_one_image_as_on_many(example: Example) -> None:
    images = example.data().test
    score = example.task.scoring.score(example.model, images)
    assert 0 <= score.quality <= 100
    assert score.describe().endswith(f"{len(images)} images")
    again = example.task.scoring.score(example.model, images, batch_size=1)
    assert again.quality == pytest.approx(score.quality)
    assert example.task.scoring.run(example.model, example.batch()) is not None


def test_a_file_says_its_task_and_scores_as_the_model_does(example: Example) -> None:
    file = read_exported(example.file)
    serving, properties = example.task.serving, file.properties
    assert file.task is example.task
    assert serving.shapes(example.taken) == example.inputs.shapes
    with example.session() as session:
        remote = serving.remote(session.run, session.input_names, example.taken, properties)
        data = example.task.data.open(example.spec, example.taken, remote)
        found = example.task.scoring.score(remote, data.test)
        assert serving.remarks(remote) == ()
    expected = example.task.scoring.score(example.model, example.data().test)
    assert found.quality == pytest.approx(expected.quality, abs=1)
    assert serving.remarks(example.model) == ()


def test_a_file_is_fed_what_it_takes(example: Example) -> None:
    arrays = example.task.data.feeds(example.batch(), example.taken)
    assert [array.shape for array in arrays] == [(3, *shape) for shape in example.taken.shapes]
    with example.session() as session:
        assert session.run(dict(zip(session.input_names, arrays, strict=True)))


def test_its_companion_is_a_file(example: Example) -> None:
    companion = example.task.serving.companion
    assert companion is None or companion.is_file()


def compared(example: Example, file: Path) -> ParityReport:
    pair = Pair(inputs=example.taken, precision="fp32", batches=(1, 2, 8), exported=example.module)
    with (
        TorchSession(example.module, example.taken, OPTIONS) as reference,
        BACKENDS.get("onnxruntime").open(file, OPTIONS) as session,
    ):
        found = OpenedFile(session=session, path=file)
        return example.task.serving.compare(reference, found, pair, None)


def test_a_right_file_is_right(example: Example) -> None:
    report = compared(example, example.file)
    assert report.cases
    assert report.max_relative_difference <= report.limit


@pytest.mark.parametrize("factor", [-1.0, 0.0, 1.01])
def test_a_broken_file_is_wrong(example: Example, factor: float, tmp_path: Path) -> None:
    graph = onnx.load(example.file)
    kernels = [weight for weight in graph.graph.initializer if len(weight.dims) == 4]
    kernel = kernels[0]
    broken = np.asarray(numpy_helper.to_array(kernel) * np.float32(factor))
    kernel.CopyFrom(numpy_helper.from_array(broken, kernel.name))
    onnx.save(graph, tmp_path / "broken.onnx")
    with pytest.raises(ParityError):
        compared(example, tmp_path / "broken.onnx")
