"""Targets, mirroring, grouping, and independence of workers."""

from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from compressor.data.images import steps_in_epoch
from compressor.tasks.recipe import Recipe
from detection.coco import open_coco
from detection.coco.batches import draw_batches, shape_groups
from detection.coco.prefetch import in_order
from detection.coco.targets import mirrored_target
from tests.detection.coco_factory import write_coco

RECIPE = Recipe(batch_size=4)
TASKS = ("boxes", "masks", "keypoints")


@pytest.fixture(params=TASKS)
def data(request, coco):
    return open_coco(coco(images=22, keypoints=request.param == "keypoints"), request.param)


def training(images, cpu, recipe=RECIPE, epoch=1, rank=0, world=1):
    return list(images.training_batches(recipe, epoch=epoch, rank=rank, world=world, device=cpu))


def same(first, second) -> bool:
    return (
        first.ids == second.ids
        and all(torch.equal(a, b) for a, b in zip(first.images, second.images, strict=True))
        and all(
            torch.equal(a[name], b[name])
            for a, b in zip(first.targets, second.targets, strict=True)
            for name in a.keys() | b.keys()
        )
    )


def test_batches_have_the_promised_shapes_and_types(data, cpu):
    extra = {"boxes": set(), "masks": {"masks"}, "keypoints": {"keypoints"}}[data.task]
    for batch in chain(data.test.batches(3, device=cpu), training(data.train, cpu)):
        assert len(batch) == len(batch.images) == len(batch.targets)
        for image, target, number, (height, width) in zip(
            batch.images, batch.targets, batch.ids, batch.sizes, strict=True
        ):
            assert image.dtype == torch.float32
            assert image.shape == (3, height, width)
            assert image.is_contiguous()
            assert target.keys() == {"boxes", "labels", "image_id"} | extra
            assert int(target["image_id"]) == number
            assert target["boxes"].dtype == torch.float32
            assert target["boxes"].shape == (2, 4)
            assert target["labels"].dtype == torch.int64
            if "masks" in extra:
                assert target["masks"].dtype == torch.uint8
                assert target["masks"].shape == (2, height, width)
            if "keypoints" in extra:
                assert target["keypoints"].dtype == torch.float32
                assert target["keypoints"].shape == (2, 17, 3)


def test_pixels_and_targets_are_those_of_the_files(coco, cpu):
    data = open_coco(coco(), "masks")
    batch = next(data.test.batches(4, device=cpu))
    for k, image in enumerate(data.test.truth.images):
        stored = np.asarray(Image.open(data.test.folder / image.file_name))
        assert torch.equal(batch.images[k], torch.from_numpy(stored.copy()).permute(2, 0, 1) / 255)
        for found, box, label, mask in zip(
            data.test.truth.of(image),
            *(batch.targets[k][n] for n in ("boxes", "labels", "masks")),
            strict=True,
        ):
            left, top, width, height = found.bbox
            assert box.tolist() == [left, top, left + width, top + height]
            assert int(label) == {3: 1, 7: 2}[found.category_id]
            filled = torch.zeros_like(mask)
            filled[int(top) : int(top + height), int(left) : int(left + width)] = 1
            assert torch.equal(mask, filled)


def test_crowds_are_not_in_targets_and_boxes_end_at_the_border(coco, cpu):
    def edit_test(document):
        document["annotations"][0] |= {"iscrowd": 1}
        document["annotations"][1] |= {"bbox": [-5, 40, 20, 20]}

    data = open_coco(coco(edit_test=edit_test), "boxes")
    batch = next(data.test.batches(1, device=cpu))
    assert batch.targets[0]["boxes"].tolist() == [[0, 40, 15, 48]]
    assert sum(found.iscrowd for found in data.test.truth.of(data.test.truth.images[0])) == 1


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK", "1"])
def test_images_are_read_as_colour(coco, cpu, mode):
    folder = coco()
    path = Path(folder) / "val2017/000.png"
    image = Image.open(path).convert(mode)
    image.save(path, format="TIFF" if mode == "CMYK" else "PNG")
    batch = next(open_coco(folder, "boxes").test.batches(1, device=cpu))
    expected = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1) / 255
    assert torch.equal(batch.images[0], expected)


def test_rotation_flags_are_ignored(coco, cpu):
    folder = coco()
    path = Path(folder) / "val2017/000.png"
    image = Image.open(path).copy()
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees
    image.save(path, exif=exif)
    assert next(open_coco(folder, "boxes").test.batches(1, device=cpu)).sizes == ((48, 64),)


def test_mirroring_twice_restores_everything(data):
    for position in range(len(data.train)):
        plain, mirrored = data.train.sample(position), data.train.sample(position, mirrored=True)
        width = plain.pixels.shape[1]
        assert np.array_equal(mirrored.pixels[:, ::-1], plain.pixels)
        assert not np.array_equal(mirrored.target["boxes"], plain.target["boxes"])
        restored = mirrored_target(mirrored.target, width, data.train.swap)
        assert restored.keys() == plain.target.keys()
        for name, values in plain.target.items():
            assert np.array_equal(restored[name], values), name


def test_mirrored_boxes_and_masks_fit_the_mirrored_image(coco):
    images = open_coco(coco(), "masks").train
    for position in range(len(images)):
        target = images.sample(position, mirrored=True).target
        for box, mask in zip(target["boxes"], target["masks"], strict=True):
            rows, columns = np.nonzero(mask)
            assert box.tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def test_mirroring_swaps_left_and_right_keypoints(coco):
    images = open_coco(coco(keypoints=True), "keypoints").train
    assert images.swap == (0, *chain.from_iterable((k + 1, k) for k in range(1, 17, 2)))
    plain, mirrored = images.sample(0), images.sample(0, mirrored=True)
    width = plain.pixels.shape[1]
    for before, after in zip(plain.target["keypoints"], mirrored.target["keypoints"], strict=True):
        for point, counterpart in enumerate(images.swap):
            x, y, visible = before[counterpart]
            assert after[point].tolist() == ([width - x, y, visible] if visible else [0, 0, 0])


def test_half_of_the_images_are_mirrored_another_half_in_the_next_epoch(coco, cpu):
    images = open_coco(coco(images=60), "boxes").train
    plain = {
        number: image
        for b in images.batches(8, device=cpu)
        for number, image in zip(b.ids, b.images, strict=True)
    }

    def mirrored(epoch: int, **changes) -> set[int]:
        batches = training(images, cpu, Recipe(batch_size=1, **changes), epoch=epoch)
        for b in batches:
            turned = torch.equal(b.images[0].flip(-1), plain[b.ids[0]])
            assert turned != torch.equal(b.images[0], plain[b.ids[0]])
        return {b.ids[0] for b in batches if not torch.equal(b.images[0], plain[b.ids[0]])}

    first, second = mirrored(0), mirrored(1)
    assert 0.25 < len(first) / len(images) < 0.75
    assert first == mirrored(0) != second
    assert not mirrored(0, flip=False)
    assert not mirrored(0, augment=False)


def test_whether_an_image_is_mirrored_does_not_depend_on_others(tmp_path, cpu):
    def without_first(document):
        document["annotations"] = [a for a in document["annotations"] if a["image_id"] >= 110]

    boxes = []
    for name, edit in (("whole", None), ("part", without_first)):
        images = open_coco(str(write_coco(tmp_path / name, images=40, edit=edit)), "boxes").train
        boxes.append({b.ids[0]: b.targets[0]["boxes"] for b in training(images, cpu, Recipe(batch_size=1))})
    whole, part = boxes
    assert 20 <= len(part) < len(whole)
    assert all(torch.equal(whole[number], found) for number, found in part.items())


def test_training_order_depends_on_seed_and_epoch_only(data, cpu):
    first, again = training(data.train, cpu), training(data.train, cpu)
    assert all(same(a, b) for a, b in zip(first, again, strict=True))
    ids = [batch.ids for batch in first]
    assert ids != [batch.ids for batch in training(data.train, cpu, epoch=2)]
    assert ids != [batch.ids for batch in training(data.train, cpu, Recipe(batch_size=4, seed=1))]


@pytest.mark.parametrize("world", [2, 3])
def test_workers_share_the_batches_of_one(data, cpu, world):
    alone = training(data.train, cpu)
    shares = [training(data.train, cpu, rank=rank, world=world) for rank in range(world)]
    for step, batch in enumerate(alone):
        for rank in range(world):
            share = shares[rank][step]
            assert share.ids == batch.ids[rank::world]
            for position, image, target in zip(
                range(rank, len(batch), world), share.images, share.targets, strict=True
            ):
                assert torch.equal(image, batch.images[position])
                assert torch.equal(target["boxes"], batch.targets[position]["boxes"])


@pytest.mark.parametrize("world", [1, 2, 3])
def test_evaluation_sees_every_image_once_in_order(data, cpu, world):
    seen = [
        [number for batch in data.test.batches(2, device=cpu, rank=rank, world=world) for number in batch.ids]
        for rank in range(world)
    ]
    stored = [image.id for image in data.test.truth.images]
    assert seen == [stored[rank::world] for rank in range(world)]


def test_batches_group_images_of_one_shape():
    generator = np.random.default_rng(0)
    ratios = generator.choice([0.4, 0.6, 0.75, 1.0, 1.33, 1.5, 2.5], 500)
    groups = shape_groups(ratios)
    drawn = draw_batches(groups, 8, np.random.default_rng(1))
    assert len(drawn) == steps_in_epoch(500, 8)
    assert {len(batch) for batch in drawn} == {8}
    positions = np.concatenate(drawn)
    assert len(set(positions.tolist())) == len(positions)
    mixed = sum(len(set(groups[batch].tolist())) > 1 for batch in drawn)
    assert mixed < len(set(groups.tolist()))  # no more than what is left over of each
    assert len({groups[batch[0]] for batch in drawn[:20]}) > 3  # not one shape after the other


def test_shape_groups_are_thirds_of_octaves():
    edges = [2 ** (k / 3) for k in range(-3, 4)]
    just_below = np.array([edge * 0.999 for edge in edges])
    assert shape_groups(just_below).tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert shape_groups(np.array([0.5, 1.0, 2.0, 9.0])).tolist() == [1, 4, 7, 7]


@pytest.mark.parametrize(("images", "batch"), [(1, 1), (3, 8), (8, 8), (9, 8), (100, 7)])
def test_as_many_batches_as_steps(images, batch):
    groups = np.random.default_rng(0).integers(0, 8, images)
    drawn = draw_batches(groups, min(batch, images), np.random.default_rng(0))
    assert len(drawn) == steps_in_epoch(images, batch)
    assert {len(part) for part in drawn} == {min(batch, images)}


@pytest.mark.parametrize("parts", [1, 2, 3, 4, 9])
def test_a_batch_can_be_cut(data, cpu, parts):
    batch = next(data.test.batches(4, device=cpu))
    pieces = batch.split(parts)
    sizes = [len(piece) for piece in torch.arange(4).tensor_split(min(parts, 4))]
    assert [len(piece) for piece in pieces] == sizes
    assert sum((piece.ids for piece in pieces), ()) == batch.ids
    assert [image.data_ptr() for piece in pieces for image in piece.images] == [
        image.data_ptr() for image in batch.images
    ]


def test_prefetching_keeps_order_and_passes_errors_on():
    assert list(in_order(lambda x: x * x, range(100))) == [x * x for x in range(100)]
    results = in_order(lambda x: 1 // (5 - x), range(100))
    assert [next(results) for _ in range(5)] == [0, 0, 0, 0, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_prefetching_does_not_run_far_ahead():
    started = []
    results = in_order(started.append, range(1000))
    next(results)
    results.close()
    assert len(started) < 50
