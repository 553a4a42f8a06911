import numpy as np
import pytest
import torch
from PIL import Image

from compressor.base.errors import UsageError
from compressor.data import open_data
from compressor.zoo.inputs import InputSpec

PLAIN = InputSpec(shapes=((3, 8, 8),), mean=(0.0,), std=(1.0,))


def paint(path, color, size=(20, 12), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, color).save(path)


@pytest.fixture
def folder(tmp_path):
    """Red ants and green bees, of several sizes, formats and modes."""
    for split in ("train", "val"):
        paint(tmp_path / split / "ant" / "1.png", (255, 0, 0))
        paint(tmp_path / split / "ant" / "deep" / "2.bmp", (255, 0, 0), size=(9, 30))
        paint(tmp_path / split / "bee" / "1.PNG", (0, 255, 0, 255), mode="RGBA")
        paint(tmp_path / split / "bee" / "3.png", (0, 255, 0), size=(4, 4))
        (tmp_path / split / "bee" / "notes.txt").write_text("no image")
    return tmp_path


def test_images_arrive_resized_with_their_labels(folder, cpu):
    data = open_data(f"imagefolder:{folder}", PLAIN)
    assert (data.classes, len(data.test), data.name) == (2, 4, folder.name)
    images, labels = next(data.test.batches(4, device=cpu))
    assert labels.tolist() == [0, 0, 1, 1]
    for image, label in zip(images, labels, strict=True):
        assert torch.allclose(image[label], torch.ones(8, 8))
        assert not image[1 - label].any()


def test_shorter_side_is_resized_and_the_middle_cropped(tmp_path, cpu):
    # 64x32 with a white middle square: resized to 18x9 (8 / 0.875 = 9), the middle 8 columns are white
    pixels = np.zeros((32, 64, 3), np.uint8)
    pixels[:, 16:48] = 255
    for split in ("train", "val"):
        (tmp_path / split / "a").mkdir(parents=True)
        for number in range(2):
            Image.fromarray(pixels).save(tmp_path / split / "a" / f"{number}.png")
    images, _ = next(open_data(f"imagefolder:{tmp_path}", PLAIN).test.batches(2, device=cpu))
    assert images[0, 0, :, 1:7].min() > 0.99


def test_gray_model_gets_gray_images(folder, cpu):
    gray = InputSpec(shapes=((1, 8, 8),), mean=(0.0,), std=(1.0,))
    images, _ = next(open_data(f"imagefolder:{folder}", gray).test.batches(4, device=cpu))
    assert images.shape == (4, 1, 8, 8)


def test_unreadable_image_is_named(folder, cpu):
    (folder / "val" / "ant" / "broken.jpg").write_bytes(b"no jpeg")
    data = open_data(f"imagefolder:{folder}", PLAIN)
    with pytest.raises(UsageError, match=r"broken\.jpg"):
        list(data.test.batches(2, device=cpu))


@pytest.mark.filterwarnings("ignore:This process.*fork:DeprecationWarning")
def test_many_images_are_decoded_by_workers_in_order_and_with_clear_errors(folder, cpu):
    for number in range(300):
        paint(folder / "val" / "ant" / f"0{number:03}.png", (number // 2, 0, 0), size=(8, 8))
    data = open_data(f"imagefolder:{folder}", PLAIN)
    reds = torch.cat([images[:, 0, 0, 0] for images, _ in data.test.batches(64, device=cpu)]) * 255
    assert reds[:300].round().tolist() == [number // 2 for number in range(300)]
    (folder / "val" / "ant" / "0150.png").write_bytes(b"torn")
    with pytest.raises(UsageError, match=r"cannot read image .*0150\.png"):
        list(data.test.batches(64, device=cpu))


def test_class_only_in_val(folder):
    paint(folder / "val" / "wasp" / "1.png", (0, 0, 0))
    with pytest.raises(UsageError, match="classes in val but not in train: wasp"):
        open_data(f"imagefolder:{folder}", PLAIN)


def test_class_only_in_train_is_fine(folder):
    paint(folder / "train" / "wasp" / "1.png", (0, 0, 0))
    assert open_data(f"imagefolder:{folder}", PLAIN).classes == 3


def test_empty_class_folder(folder):
    (folder / "train" / "wasp").mkdir()
    with pytest.raises(UsageError, match="wasp has no images"):
        open_data(f"imagefolder:{folder}", PLAIN)


def test_empty_split(tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "val").mkdir()
    with pytest.raises(UsageError, match="there are no images"):
        open_data(f"imagefolder:{tmp_path}", PLAIN)


def test_model_of_other_channels(folder):
    with pytest.raises(UsageError, match="4 channels"):
        open_data(f"imagefolder:{folder}", InputSpec(shapes=((4, 8, 8),), mean=(0.0,), std=(1.0,)))


def test_a_model_with_more_outputs_has_other_classes(folder):
    with pytest.raises(UsageError, match=r"the model has 1000 outputs, but .* has 2 classes") as caught:
        open_data(f"imagefolder:{folder}", PLAIN, classes=1000)
    assert "--classes 2" in caught.value.hint
    assert open_data(f"imagefolder:{folder}", PLAIN, classes=2).classes == 2


def test_val_is_the_folder_val(folder):
    """Without a folder test, val is what is only reported; what is held out of train is called so."""
    data = open_data(f"imagefolder:{folder}", PLAIN)
    assert data.images("val") is data.images("test") is data.test
    assert data.images("holdout") is data.val
    assert "trained elsewhere has seen them" in data.caution("holdout")
    assert data.caution("val") == ""


def test_with_a_folder_test_val_is_for_validation(folder):
    paint(folder / "test" / "ant" / "1.png", (255, 0, 0))
    data = open_data(f"imagefolder:{folder}", PLAIN)
    assert (len(data.train), len(data.val), len(data.test)) == (4, 4, 1)
    assert data.images("val") is data.val
    assert data.caution("val") == ""
    with pytest.raises(UsageError, match="validation split of its own"):
        data.images("holdout")
