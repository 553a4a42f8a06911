"""Masks from polygons, run lengths and compressed run lengths."""

import numpy as np
import pytest
import torch
from pycocotools import mask as codes

from compressor.base.errors import UsageError
from detection.coco import open_coco
from detection.coco.outlines import mask_of, outline_of


def run_lengths(mask: np.ndarray) -> list[int]:
    """Encode down the columns, zeros first."""
    counts, current = [0], 0
    for pixel in mask.T.ravel().tolist():
        if pixel != current:
            counts.append(0)
            current = pixel
        counts[-1] += 1
    return counts


def test_the_three_ways_to_write_an_outline_agree(coco, cpu):
    def edit_test(document):
        first, second = document["annotations"][:2]
        left, top, width, height = first["bbox"]
        mask = np.zeros((48, 64), dtype=np.uint8)
        mask[top : top + height, left : left + width] = 1
        first["segmentation"] = {"size": [48, 64], "counts": run_lengths(mask)}
        text = codes.encode(np.asfortranarray(mask))["counts"].decode()
        second |= {"bbox": first["bbox"], "segmentation": {"size": [48, 64], "counts": text}}

    folder = coco(edit_test=edit_test)
    batch = next(open_coco(folder, "masks").test.batches(1, device=cpu))
    left, top, right, bottom = (int(edge) for edge in batch.targets[0]["boxes"][0])
    filled = torch.zeros(48, 64, dtype=torch.uint8)
    filled[top:bottom, left:right] = 1
    assert torch.equal(batch.targets[0]["masks"], torch.stack([filled, filled]))


ZIGZAG = [number for n in range(3000) for number in (0.0, float(n % 2) * 60)]


@pytest.mark.parametrize(
    ("outline", "words"),
    [
        ([0, 0, 1e7, 0, 5, 5], "annotation 0 reaches from 0 to 1e\\+07 in x, where the image has 64 pixels"),
        ([0, 0, 10, -500, 5, 5], "annotation 0 reaches from -500 to 5 in y, where the image has 48 pixels"),
        (ZIGZAG, "annotation 0 is 180,000 pixels long, where the image has 3,072 pixels"),
    ],
)
def test_outlines_that_take_more_memory_than_their_image_are_refused(coco, outline, words):
    def edit_test(document):
        document["annotations"][0]["segmentation"] = [outline]

    folder = coco(edit_test=edit_test)
    with pytest.raises(UsageError, match=words):
        open_coco(folder, "masks")
    assert open_coco(folder, "boxes").test  # which fills no outlines


def test_outlines_a_little_outside_of_their_image_are_cut_at_its_edge(coco, cpu):
    def edit_test(document):
        document["annotations"][0]["segmentation"] = [[-2.5, -3, 80, -3, 80, 50, -2.5, 50]]

    batch = next(open_coco(coco(edit_test=edit_test), "masks").test.batches(1, device=cpu))
    assert batch.targets[0]["masks"][0].all()


def test_masks_of_real_objects_are_those_of_pycocotools(shared):
    images = open_coco(str(shared / "data/coco_small"), "masks").test
    for position, image in enumerate(images.truth.images[:40]):
        masks = images.sample(position).target["masks"]
        for found, mask in zip(images.truth.learnable(image), masks, strict=True):
            parts = codes.frPyObjects(found.segmentation, image.height, image.width)
            assert codes.encode(np.asfortranarray(mask)) == codes.merge(parts)


def test_run_lengths_of_real_crowds_are_read_as_pycocotools_reads_them(shared):
    truth = open_coco(str(shared / "data/coco_small"), "masks").test.truth
    crowds = [(image, found) for image in truth.images for found in truth.of(image) if found.iscrowd]
    assert len(crowds) == 10
    for image, found in crowds:
        expected = codes.frPyObjects(outline_of(found), image.height, image.width)
        assert codes.encode(np.asfortranarray(mask_of(found, image))) == expected
