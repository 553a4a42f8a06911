import numpy as np
import torch

from compressor.data.images import Augmentation, normalised, shifted, steps_in_epoch
from compressor.tasks.recipe import Recipe
from compressor.zoo.inputs import InputSpec

IMAGES = np.arange(1, 1 + 2 * 5 * 6 * 3, dtype=np.uint8).reshape(2, 5, 6, 3)


def test_the_middle_crop_changes_nothing():
    assert np.array_equal(shifted(IMAGES, np.full((2, 2), 4)), IMAGES)


def test_each_image_is_shifted_on_its_own_and_filled_with_zeros():
    moved = shifted(IMAGES, np.array([[4 + 2, 4], [4, 4 - 3]]))
    assert np.array_equal(moved[0, :3], IMAGES[0, 2:])  # up by two rows
    assert not moved[0, 3:].any()
    assert np.array_equal(moved[1, :, 3:], IMAGES[1, :, :-3])  # right by three columns
    assert not moved[1, :, :3].any()


def test_flips_follow_the_image_and_not_its_place_in_the_batch():
    flips = Augmentation(shifts=None, mirrored=np.array([True, False]))
    swapped = flips.apply(IMAGES[[1, 0]], np.array([1, 0]))
    assert np.array_equal(swapped[0], IMAGES[1])
    assert np.array_equal(swapped[1], IMAGES[0, :, ::-1])


def test_recipe_switches_augmentation_and_flips_off():
    plain = Augmentation.draw(Recipe(augment=False), 1, 9)
    assert plain.shifts is None
    assert plain.mirrored is None
    unmirrored = Augmentation.draw(Recipe(flip=False), 1, 9)
    assert unmirrored.shifts is not None
    assert unmirrored.mirrored is None


def test_switching_flips_off_leaves_the_shifts_alone():
    with_flips, without = (Augmentation.draw(Recipe(flip=flip), 3, 50) for flip in (True, False))
    assert np.array_equal(with_flips.shifts, without.shifts)


def test_shifts_cover_all_nine_offsets_and_flips_about_half():
    draws = Augmentation.draw(Recipe(), 1, 2000)
    assert set(np.unique(draws.shifts)) == set(range(9))
    assert abs(draws.mirrored.mean() - 0.5) < 4 * 0.5 / 2000**0.5


def test_normalisation_by_hand():
    inputs = InputSpec(shapes=((3, 1, 1),), mean=(0.5, 0.25, 0.0), std=(0.5, 0.25, 1.0))
    pixel = torch.tensor([[[[255, 0, 51]]]], dtype=torch.uint8)
    assert torch.allclose(normalised(pixel, inputs).flatten(), torch.tensor([1.0, -1.0, 0.2]))


def test_gray_is_repeated_before_normalisation():
    inputs = InputSpec(shapes=((3, 1, 1),), mean=(0.5, 0.25, 0.0), std=(0.5, 0.25, 1.0))
    pixel = torch.tensor([[[[255]]]], dtype=torch.uint8)
    assert torch.allclose(normalised(pixel, inputs).flatten(), torch.tensor([1.0, 3.0, 1.0]))


def test_steps_in_epoch():
    assert [steps_in_epoch(images, 10) for images in (1, 9, 10, 19, 20)] == [1, 1, 1, 1, 2]
