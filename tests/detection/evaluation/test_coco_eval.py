"""Average precision against the reference, run directly on the annotation file."""

import contextlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as codes
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from compressor.base.errors import BackendMissingError, UsageError
from detection.coco import open_coco
from detection.coco.targets import target_of
from detection.evaluation import (
    AveragePrecision,
    EncodedDetections,
    encode_detections,
    evaluate_detections,
    kinds_of,
    score_detections,
)
from detection.evaluation import engines as engine_table
from detection.evaluation.engines import ENGINES, installed_engine
from detection.types import Detections
from tests.detection.coco_factory import write_coco

TASKS = ("boxes", "masks", "keypoints")
PREFIXES = {"boxes": "instances", "masks": "instances", "keypoints": "person_keypoints"}


@pytest.fixture(params=ENGINES, ids=lambda engine: engine.package)
def engine(request):
    pytest.importorskip(request.param.package)
    return request.param


@pytest.fixture(params=["small", "real"])
def folder(request, tmp_path) -> Path:
    """A written data set for every task, and the real one."""
    if request.param == "real":
        return request.getfixturevalue("shared") / "data/coco_small"
    write_coco(tmp_path / "small", test_images=10, objects=4)
    persons = write_coco(tmp_path / "persons", test_images=10, keypoints=True)
    for path in (persons / "annotations").iterdir():
        path.rename(tmp_path / "small/annotations" / path.name)
    return tmp_path / "small"


def perfect(truth, task: str) -> dict[int, Detections]:
    """Return what is annotated as if it had been found; persons without points are not asked for."""
    found = {}
    for image in truth.images:
        target = target_of(truth, image, task, points=17)
        keep = np.ones(len(target["labels"]), dtype=bool)
        if task == "keypoints":
            keep = np.array([o.labelled_points > 0 for o in truth.learnable(image)], dtype=bool)
        found[image.id] = Detections(
            boxes=target["boxes"][keep],
            scores=np.full(keep.sum(), 0.9, dtype=np.float32),
            labels=target["labels"][keep],
            masks=target["masks"][keep].astype(bool) if task == "masks" else None,
            keypoints=target["keypoints"][keep] if task == "keypoints" else None,
        )
    return found


def perturbed(found: Detections, generator: np.random.Generator, labels: int) -> Detections:
    """Move boxes, masks and points; drop some, add copies of some, mistake some classes; score at random."""
    chosen = np.flatnonzero(generator.random(len(found)) < 0.85)
    chosen = np.concatenate([chosen, chosen[generator.random(len(chosen)) < 0.3]])
    sizes = found.boxes[chosen, 2:] - found.boxes[chosen, :2]
    moves = generator.normal(0, 0.08, (len(chosen), 2)) * sizes
    boxes = found.boxes[chosen] + np.tile(moves, 2)
    boxes[:, 2:] += np.abs(generator.normal(0, 0.08, sizes.shape)) * sizes
    wrong = generator.random(len(chosen)) < 0.1
    points = None
    if found.keypoints is not None:
        points = found.keypoints[chosen].copy()
        points[..., :2] += generator.normal(0, 0.05, points[..., :2].shape) * sizes[:, None]
    masks = None
    if found.masks is not None:
        masks = np.array(
            [
                np.roll(found.masks[k], np.round(move[::-1]).astype(int), (0, 1))
                for k, move in zip(chosen, moves, strict=True)
            ]
        ).reshape(-1, *found.masks.shape[1:])
    return Detections(
        boxes=boxes.astype(np.float32),
        scores=np.round(generator.random(len(chosen)), 2).astype(np.float32),  # ties occur
        labels=np.where(wrong, generator.integers(1, labels + 1, len(chosen)), found.labels[chosen]),
        masks=masks,
        keypoints=points,
    )


def detections(data) -> dict[int, Detections]:
    generator = np.random.default_rng(5)
    labels = max(data.categories.labels)
    return {k: perturbed(v, generator, labels) for k, v in perfect(data.test.truth, data.task).items()}


def result_rows(data, found: dict[int, Detections], kind: str) -> list[dict]:
    """Write COCO's results file the way its documentation describes."""
    rows = []
    for image, one in found.items():
        for k in range(len(one)):
            label = int(one.labels[k])
            if label not in data.categories.labels:
                continue
            category = data.categories.ids[data.categories.labels.index(label)]
            row = {"image_id": image, "category_id": category, "score": float(one.scores[k])}
            if kind == "bbox":
                left, top, right, bottom = (float(edge) for edge in one.boxes[k])
                row["bbox"] = [left, top, right - left, bottom - top]
            elif kind == "segm":
                row["segmentation"] = codes.encode(np.asfortranarray(one.masks[k].astype(np.uint8)))
            else:
                row["keypoints"] = [float(number) for number in one.keypoints[k].ravel()]
            rows.append(row)
    return rows


def reference(path: Path, rows: list[dict], kind: str) -> list[float]:
    """Return AP, AP50 and AP75 in percent, by pycocotools alone."""
    document = json.loads(path.read_text())
    for number, annotation in enumerate(document["annotations"], start=1):
        annotation["id"] = number
    document.setdefault("info", {})
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = document
        truth.createIndex()
        scored = COCOeval(truth, truth.loadRes(rows), kind)
        scored.evaluate()
        scored.accumulate()
        scored.summarize()
    return [100 * float(value) for value in scored.stats[:3]]


@pytest.mark.parametrize("task", TASKS)
def test_what_is_annotated_scores_100(folder, task, engine):
    data = open_coco(str(folder), task)
    score = evaluate_detections(
        data.test.truth, perfect(data.test.truth, task), kinds_of(task), engine=engine
    )
    if task == "keypoints":  # persons without points are boxes that were not asked for
        assert (score.keypoint, score.keypoint50, score.keypoint75) == pytest.approx(
            (100, 100, 100), abs=1e-9
        )
    else:
        assert (score.box, score.box50, score.box75) == pytest.approx((100, 100, 100), abs=1e-9)
    if task == "masks":
        assert (score.mask, score.mask50, score.mask75) == pytest.approx((100, 100, 100), abs=1e-9)
    assert score.quality == pytest.approx(100, abs=1e-9)
    assert score.images == len(data.test)


@pytest.mark.parametrize("task", TASKS)
def test_imperfect_detections_score_as_pycocotools_says(folder, task, engine):
    data = open_coco(str(folder), task)
    found = detections(data)
    score = evaluate_detections(data.test.truth, found, kinds_of(task), engine=engine)
    path = folder / f"annotations/{PREFIXES[task]}_val2017.json"
    for kind, name in (("bbox", "box"), ("segm", "mask"), ("keypoints", "keypoint")):
        figures = [getattr(score, name + suffix) for suffix in ("", "50", "75")]
        if kind not in kinds_of(task):
            assert figures == [None, None, None]
            continue
        expected = reference(path, result_rows(data, found, kind), kind)
        assert figures == pytest.approx(expected, abs=1e-6)
        assert 5 < expected[0] < 95


def test_crowds_are_neither_found_nor_missed(tmp_path, engine):
    def edit_test(document):
        document["annotations"][0]["iscrowd"] = 1

    data = open_coco(str(write_coco(tmp_path / "small", edit_test=edit_test)), "boxes")
    found = perfect(data.test.truth, "boxes")
    assert sum(len(one) for one in found.values()) == 4 * 2 - 1
    image = data.test.truth.images[0]
    left, top, width, height = data.test.truth.of(image)[0].bbox
    inside = [
        [left + 1, top + 1, left + width / 2, top + height / 2],
        [left, top, left + width, top + height],
    ]
    one = found[image.id]
    found[image.id] = Detections(
        boxes=np.concatenate([np.array(inside, dtype=np.float32), one.boxes]),
        scores=np.array([1.0, 1.0, 0.9], dtype=np.float32),
        labels=np.concatenate([[1, 1], one.labels]),
    )
    assert evaluate_detections(data.test.truth, found, engine=engine).box == pytest.approx(100)


def test_no_detections_at_all_score_0(tmp_path, engine):
    data = open_coco(str(write_coco(tmp_path / "small")), "masks")
    nothing = Detections(
        boxes=np.zeros((0, 4), np.float32),
        scores=np.zeros(0, np.float32),
        labels=np.zeros(0, np.int64),
        masks=np.zeros((0, 48, 64), np.bool_),
    )
    found = {image.id: nothing for image in data.test.truth.images}
    score = evaluate_detections(data.test.truth, found, ("bbox", "segm"), engine=engine)
    assert (score.box, score.mask, score.quality) == (0, 0, 0)


def test_classes_that_the_data_does_not_have_are_ignored(tmp_path):
    data = open_coco(str(write_coco(tmp_path / "small")), "boxes", classes=91)
    found = perfect(data.test.truth, "boxes")
    extra = {
        image: Detections(
            boxes=np.concatenate([one.boxes, one.boxes]),
            scores=np.concatenate([one.scores, one.scores + 0.05]),
            labels=np.concatenate([one.labels, one.labels + 50]),
        )
        for image, one in found.items()
    }
    assert evaluate_detections(data.test.truth, extra).box == pytest.approx(100)


def test_predictions_may_be_streamed_and_merged(tmp_path):
    data = open_coco(str(write_coco(tmp_path / "small", test_images=9)), "masks")
    truth, kinds = data.test.truth, ("bbox", "segm")
    found = detections(data)
    whole = evaluate_detections(truth, found, kinds)
    assert evaluate_detections(truth, iter(found.items()), kinds) == whole
    ids = [image.id for image in truth.images]
    shares = [[(number, found[number]) for number in ids[rank::2]] for rank in range(2)]
    parts = [encode_detections(truth, share, kinds) for share in [*shares, shares[0][:1]]]
    parts = [EncodedDetections(found=part.found) for part in parts]
    merged = EncodedDetections.merged(parts)
    assert score_detections(truth, merged, kinds) == whole
    assert score_detections(truth, merged, kinds) == whole  # the libraries write into what they are given
    json.dumps(merged.results("segm"))  # a COCO results file


def test_part_of_a_split_can_be_scored(tmp_path):
    data = open_coco(str(write_coco(tmp_path / "small", test_images=9)), "boxes")
    found = detections(data)
    part = data.test.truth.only([101, 104])
    score = evaluate_detections(part, {number: found[number] for number in (101, 104)})
    assert score.images == 2
    with pytest.raises(UsageError, match="7 of 9 images have no predictions, and 0 predictions are of other"):
        evaluate_detections(data.test.truth, {number: found[number] for number in (101, 104)})
    with pytest.raises(UsageError, match="0 of 2 images have no predictions, and 7 predictions are of other"):
        evaluate_detections(part, found)


def test_what_cannot_be_scored(tmp_path):
    data = open_coco(str(write_coco(tmp_path / "small")), "boxes")
    found = perfect(data.test.truth, "boxes")
    with pytest.raises(UsageError, match="no masks"):
        evaluate_detections(data.test.truth, found, ("segm",))
    with pytest.raises(UsageError, match="no keypoints"):
        evaluate_detections(data.test.truth, found, ("keypoints",))


def test_nothing_to_find(tmp_path, engine):
    def edit_test(document):
        document["annotations"] = [a for a in document["annotations"] if a["image_id"] != 101]

    data = open_coco(str(write_coco(tmp_path / "small", edit_test=edit_test)), "boxes")
    part = data.test.truth.only([101])
    with pytest.raises(UsageError, match="nothing to find in these 1 images"):
        evaluate_detections(part, {101: perfect(part, "boxes")[101]}, engine=engine)


def test_nothing_is_printed(tmp_path, engine, capfd):
    data = open_coco(str(write_coco(tmp_path / "small")), "boxes")
    evaluate_detections(data.test.truth, perfect(data.test.truth, "boxes"), engine=engine)
    assert capfd.readouterr() == ("", "")


def test_the_fast_engine_is_taken_where_it_is_installed(monkeypatch):
    pytest.importorskip("faster_coco_eval")
    assert installed_engine().package == "faster_coco_eval"
    monkeypatch.setattr(engine_table.importlib.util, "find_spec", lambda name: name == "pycocotools" or None)
    assert installed_engine().package == "pycocotools"
    monkeypatch.setattr(engine_table.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BackendMissingError, match="need pycocotools") as caught:
        installed_engine()
    assert caught.value.hint == "pip install 'compress-cnn[coco]'"


def test_quality_and_words():
    boxes = AveragePrecision(images=3, box=37.06, box50=58.0, box75=40.25)
    assert boxes.quality == 37.06
    assert boxes.describe() == "box AP 37.1 (AP50 58.0, AP75 40.2), 3 images"
    masks = AveragePrecision(images=3, box=37.06, box50=58.0, box75=40.0, mask=0.0, mask50=1.0, mask75=2.0)
    assert masks.quality == 0
    assert masks.describe().endswith("mask AP 0.0 (AP50 1.0, AP75 2.0), 3 images")
    assert AveragePrecision(images=3, box=50.0, keypoint=60.0).quality == 60
