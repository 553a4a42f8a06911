"""Opening data sets: layouts, categories, what is left out, and every way in which files can be wrong."""

import json
import sys
from pathlib import Path

import pytest
from PIL import Image

from compressor.base.errors import BackendMissingError, UsageError
from detection.coco import open_coco
from tests.detection.coco_factory import write_coco

PERSON_AND_CAR = ({"id": 1, "name": "person"}, {"id": 3, "name": "car"})


def test_splits_of_the_official_layout(coco):
    data = open_coco(coco(images=20), "boxes")
    assert (len(data.train), len(data.val), len(data.test)) == (18, 2, 4)
    assert (data.name, data.classes, data.synthetic) == ("small", 3, False)
    assert data.spec == f"coco:{data.train.folder.parent}"
    assert data.summary.startswith("18 images to learn from, 2 to validate, 4 to test; 2 categories.")


def test_validation_is_held_out_of_train_the_same_way_every_time(coco):
    folder = coco(images=20)
    data, again = open_coco(folder, "boxes"), open_coco(folder, "boxes")
    train, val = set(data.train.indices.tolist()), data.val.indices.tolist()
    assert not train & set(val)
    assert train | set(val) == set(range(20))
    assert again.val.indices.tolist() == val
    assert [image.id for image in data.val.truth.images] == [100 + position for position in val]


@pytest.mark.parametrize(
    ("annotations", "images"),
    [
        ("annotations/instances_{}.json", "{}"),
        ("annotations/instances_{}.json", "images/{}"),
        ("annotations/{}.json", "images/{}"),
        ("{}/_annotations.coco.json", "{}"),
    ],
)
@pytest.mark.parametrize("names", [("train2017", "val2017"), ("train", "val"), ("train", "valid")])
def test_known_layouts(tmp_path, annotations, images, names):
    written = write_coco(tmp_path / "written", names=names)
    moved = tmp_path / "moved"
    for name in names:
        for source, pattern in ((name, images), (f"annotations/instances_{name}.json", annotations)):
            target = moved / pattern.format(name)
            target.parent.mkdir(parents=True, exist_ok=True)
            (written / source).rename(target)
    data = open_coco(str(moved), "boxes")
    assert (len(data.train) + len(data.val), len(data.test)) == (12, 4)


def test_cocos_own_categories_keep_their_ids_where_the_model_has_room(coco):
    folder = coco(categories=PERSON_AND_CAR)
    assert open_coco(folder, "boxes", classes=91).categories.labels == (1, 3)
    assert open_coco(folder, "boxes").categories.labels == (1, 3)
    assert open_coco(folder, "boxes", classes=3).categories.labels == (1, 2)


def test_other_categories_count_from_one_in_the_order_of_their_ids(coco):
    own = ({"id": 90, "name": "cup"}, {"id": 0, "name": "plate"}, {"id": 12, "name": "person"})
    categories = open_coco(coco(categories=own), "boxes", classes=91).categories
    assert [categories.label(number) for number in (0, 12, 90)] == [1, 2, 3]
    assert [categories.category_id(label) for label in (0, 1, 2, 3, 4)] == [None, 0, 12, 90, None]
    assert [categories.name(label) for label in (0, 1, 3)] == [None, "plate", "cup"]


def test_more_categories_than_outputs(coco):
    with pytest.raises(
        UsageError, match="2 categories need 3 outputs with the background, but the model has 2"
    ):
        open_coco(coco(), "boxes", classes=2)


@pytest.mark.parametrize(
    ("change", "words"), [({"name": "glass"}, "is 'cup'"), ({"id": 4}, "does not exist")]
)
def test_splits_with_different_categories(coco, change, words):
    def edit_test(document):
        document["annotations"] = [a for a in document["annotations"] if a["category_id"] == 7]
        document["categories"][0] = document["categories"][0] | change

    with pytest.raises(UsageError, match=words):
        open_coco(coco(edit_test=edit_test), "boxes")


def test_what_is_left_out_of_training_is_counted(coco):
    def edit(document):
        boxes = [[1, 1, 0, 5], [1, 1, 5, -2], [500, 1, 5, 5]]  # no width, no height, outside
        for annotation, bbox in zip(document["annotations"], boxes, strict=False):
            annotation["bbox"] = bbox
        for annotation in document["annotations"][3:]:
            annotation["iscrowd"] = annotation["image_id"] in {102, 103}

    data = open_coco(coco(edit=edit), "boxes")
    held_out = {image.id for image in data.val.truth.images}
    assert not held_out & {100, 101, 102, 103}  # as the seed has it: all of them were for training
    # Image 100 lost both boxes, 101 the first of two; 102 and 103 show crowds only.
    assert len(data.train) == 12 - len(held_out) - 3
    assert "3 boxes without area inside their image" in data.summary
    assert "3 images without anything to learn from" in data.summary
    assert "4 crowds" in data.summary
    assert data.summary.endswith("of test: nothing.")


def test_images_for_testing_are_kept_without_objects(coco):
    def edit_test(document):
        document["annotations"] = [a for a in document["annotations"] if a["image_id"] == 101]

    assert len(open_coco(coco(edit_test=edit_test), "boxes").test) == 4


def test_keypoints_are_learned_from_ten_labelled_points_up(coco):
    def edit(document):
        for annotation in document["annotations"]:
            labelled = annotation["image_id"] - 100  # 0, 1, 2 ... points in the two persons of an image
            halves = (labelled + 1) // 2, labelled // 2
            points = halves[annotation["id"] % 2]
            annotation["keypoints"] = [3, 3, 2] * points + [0, 0, 0] * (17 - points)
            annotation["num_keypoints"] = points

    data = open_coco(coco(images=20, keypoints=True, edit=edit), "keypoints", classes=2)
    assert data.classes == 2
    held_out = {image.id for image in data.val.truth.images}
    assert [image.id for image in data.train.truth.images] == [
        number for number in range(110, 120) if number not in held_out
    ]


def cut(path: Path) -> None:
    path.write_text(path.read_text()[:-40])


def damage(path: Path, change) -> None:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def first(document: dict) -> dict:
    return document["annotations"][0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda d: first(d).update(category_id=99),
            "annotation 0 is of category 99.*\nHint: known ids: 3, 7",
        ),
        (lambda d: first(d).update(image_id=5), "annotation 0 is of image 5"),
        (lambda d: first(d).update(bbox=[1, 2, 3]), r"annotations\.0\.bbox"),
        (lambda d: first(d).update(bbox=[1, 2, 3, float("nan")]), r"annotations\.0\.bbox\.3: .*finite"),
        (lambda d: first(d).pop("category_id"), r"annotations\.0\.category_id: Field required"),
        (lambda d: d.pop("images"), "images: Field required"),
        (lambda d: d["images"][1].update(width=0), r"images\.1\.width: .*greater than 0"),
        (lambda d: d["images"][1].update(id=100), "image id 100 occurs twice"),
        (lambda d: d["categories"][1].update(id=3), "category id 3 occurs twice"),
        (lambda d: d.update(categories=[], annotations=[]), "no categories"),
        (lambda d: d.update(images=d["images"][:1], annotations=[]), "1 training images cannot be split"),
        (lambda d: d.update(annotations=[]), "none of 11 images to learn from shows anything"),
    ],
)
def test_malformed_annotations(coco, change, words):
    folder = coco()
    damage(Path(folder) / "annotations/instances_train2017.json", change)
    with pytest.raises(UsageError, match=words) as caught:
        open_coco(folder, "boxes")
    assert "instances_train2017.json" in caught.value.message


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]", b"null"])
def test_files_that_are_no_annotations(coco, content):
    folder = coco()
    (Path(folder) / "annotations/instances_train2017.json").write_bytes(content)
    with pytest.raises(UsageError, match=r"instances_train2017\.json: top level"):
        open_coco(folder, "boxes")


def test_annotations_that_are_cut_short(coco):
    folder = coco()
    cut(Path(folder) / "annotations/instances_val2017.json")
    with pytest.raises(UsageError, match=r"instances_val2017\.json: top level: Invalid JSON: EOF") as caught:
        open_coco(folder, "boxes")
    assert "cut short" in caught.value.hint


def test_nothing_to_find_in_the_test_split(coco):
    def edit_test(document):
        for annotation in document["annotations"]:
            annotation["iscrowd"] = 1

    with pytest.raises(UsageError, match="none of the 4 images of split test shows a single object"):
        open_coco(coco(edit_test=edit_test), "boxes")


def test_missing_argument_folder_annotations_and_images(coco, tmp_path):
    with pytest.raises(UsageError, match="does not say which"):
        open_coco("", "boxes")
    with pytest.raises(UsageError, match="there is no folder"):
        open_coco(str(tmp_path / "absent"), "boxes")
    folder = coco()
    with pytest.raises(UsageError, match="no annotations for split train and task keypoints") as caught:
        open_coco(folder, "keypoints")
    assert "annotations/person_keypoints_train2017.json, annotations/train2017.json" in caught.value.hint
    (Path(folder) / "val2017").rename(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="no folder with its images") as caught:
        open_coco(folder, "boxes")
    assert caught.value.hint == "looked for val2017, images/val2017, images"


def test_absent_images_are_named_up_to_three(coco):
    folder = coco()
    for number in (1, 3, 4, 7, 8):
        (Path(folder) / f"train2017/{number:03}.png").unlink()
    with pytest.raises(UsageError, match=r"5 of 12 images are missing: 001.png, 003.png, 004.png and 2 more"):
        open_coco(folder, "boxes")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda d: d["categories"].append({"id": 2, "name": "dog"}),
            r"person \(17 points\), dog \(0 points\)",
        ),
        (lambda d: d["categories"][0].pop("keypoints"), r"person \(0 points\)"),
        (lambda d: first(d).update(keypoints=[1, 1, 2]), "annotation 0 has 3 numbers .* 17 points take 51"),
    ],
)
def test_keypoints_are_those_of_persons(coco, change, words):
    with pytest.raises(UsageError, match=words):
        open_coco(coco(keypoints=True, edit=change), "keypoints")


def test_objects_without_an_outline_are_left_out_where_masks_are_asked_for(coco):
    def edit(document):
        for annotation, outline in zip(document["annotations"], [None, [], [[1, 1, 5, 5]]], strict=False):
            annotation["segmentation"] = outline

    folder = coco(edit=edit)
    assert "3 objects without an outline" in open_coco(folder, "masks").summary
    assert "outline" not in open_coco(folder, "boxes").summary


@pytest.mark.parametrize(
    "outline",
    [
        {"size": [64, 48], "counts": [64 * 48]},  # width and height exchanged
        {"size": [48, 64], "counts": [64 * 48 - 1]},
        {"size": [48, 64], "counts": [-1, 64 * 48 + 1]},
        {"size": [48, 64], "counts": []},
        {"size": [48, 64], "counts": "zzzzzz"},
        {"size": [48, 64], "counts": ""},
    ],
)
def test_run_lengths_that_do_not_cover_the_image(coco, outline):
    folder = coco(edit=lambda document: first(document).update(segmentation=outline))
    with pytest.raises(UsageError, match="annotation 0 do not cover image 100 exactly, which is 48x64"):
        open_coco(folder, "masks")


def test_a_file_that_is_no_image_is_named_when_it_is_read(coco, cpu):
    folder = coco()
    (Path(folder) / "val2017/002.png").write_bytes(b"not an image")
    data = open_coco(folder, "boxes")
    with pytest.raises(UsageError, match=r"cannot read image .*val2017/002\.png"):
        list(data.test.batches(2, device=cpu))


def test_an_image_that_is_cut_short_is_named(coco, cpu):
    folder = coco()
    path = Path(folder) / "val2017/001.png"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(UsageError, match=r"cannot read image .*001\.png"):
        list(open_coco(folder, "boxes").test.batches(2, device=cpu))


def test_an_image_of_another_size_than_annotated(coco, cpu):
    folder = coco()
    Image.new("RGB", (48, 64)).save(Path(folder) / "val2017/000.png")
    with pytest.raises(UsageError, match=r"000\.png is 48x64, but its annotations say 64x48"):
        list(open_coco(folder, "boxes").test.batches(2, device=cpu))


def test_masks_need_the_extra_but_boxes_do_not(coco, monkeypatch, cpu):
    folder = coco()
    monkeypatch.setitem(sys.modules, "pycocotools.mask", None)
    list(open_coco(folder, "boxes").test.batches(2, device=cpu))
    with pytest.raises(BackendMissingError, match="need pycocotools") as caught:
        open_coco(folder, "masks")
    assert caught.value.hint == "pip install 'compress-cnn[coco]'"


def test_real_coco(shared):
    data = open_coco(str(shared / "data/coco_small"), "boxes", classes=91)
    assert (len(data.train) + len(data.val), len(data.test)) == (129, 128)  # one of 130 shows nothing
    assert (len(data.categories.ids), data.classes) == (80, 91)
    assert data.categories.labels == data.categories.ids
    assert data.categories.name(90) == "toothbrush"
    keypoints = open_coco(str(shared / "data/coco_small"), "keypoints", classes=2)
    assert (keypoints.classes, len(keypoints.test)) == (2, 128)
    assert keypoints.train.swap == (0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15)
