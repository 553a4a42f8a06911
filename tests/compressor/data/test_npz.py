import zipfile

import numpy as np
import pytest
import torch

from compressor.base.errors import UsageError
from compressor.data import open_data
from compressor.zoo.inputs import InputSpec

GOOD = {
    "x_train": np.zeros((4, 32, 32, 3), np.uint8),
    "y_train": np.array([0, 1, 2, 0]),
    "x_test": np.zeros((2, 32, 32, 3), np.uint8),
    "y_test": np.array([0, 1], dtype=np.uint8),
}


def save(folder, **changes):
    arrays = {key: value for key, value in (GOOD | changes).items() if value is not None}
    np.savez(folder / "data.npz", **arrays)
    return f"npz:{folder / 'data.npz'}"


def test_values_arrive(tmp_path, cpu):
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    inputs = InputSpec(shapes=((3, 32, 32),), mean=(0.0,), std=(1.0,))
    data = open_data(save(tmp_path, x_test=images), inputs)
    pixels, labels = next(data.test.batches(2, device=cpu))
    assert torch.equal((pixels * 255).round().permute(0, 2, 3, 1).to(torch.uint8), torch.from_numpy(images))
    assert labels.tolist() == [0, 1]
    assert (data.classes, data.name) == (3, "data")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"y_test": None}, "lacks y_test"),
        ({"x_val": GOOD["x_test"]}, "lacks y_val"),
        ({"classes": np.array([3, 4])}, r"classes is int64 of shape \(2,\)"),
        ({"classes": np.float32(3)}, "classes is float32"),
        ({"classes": 0}, "one integer from 1"),
        ({"classes": 2}, "label 2, but there are 2 classes"),
        ({"x_train": np.zeros((4, 32, 32, 3), np.float32)}, "x_train is float32"),
        ({"x_train": np.zeros((4, 3072), np.uint8)}, r"x_train is uint8 of shape \(4, 3072\)"),
        ({"x_train": np.zeros((4, 3, 32, 32), np.uint8)}, "images are 32x3x32"),
        (
            {"x_test": np.zeros((0, 32, 32, 3), np.uint8), "y_test": np.zeros(0, np.int64)},
            "there are no images",
        ),
        (
            {"x_train": np.zeros((0, 32, 32, 3), np.uint8), "y_train": np.zeros(0, np.int64)},
            "there are no images",
        ),
        (
            {name: value[:0] for name, value in GOOD.items()},
            "there are no images",
        ),
        ({"y_train": np.array([0.0, 1.0, 2.0, 0.0])}, "y_train is float64"),
        ({"y_train": np.array([0, 1, 2])}, r"y_train is int64 of shape \(3,\), for 4 images"),
        ({"y_train": np.array([0, 1, -2, 0])}, "image 2 has label -2"),
        ({"y_train": np.array([0, {}, 2, 0], dtype=object)}, "not a readable archive of plain arrays"),
    ],
)
def test_malformed_archive(tmp_path, inputs, changes, words):
    with pytest.raises(UsageError, match=words):
        open_data(save(tmp_path, **changes), inputs)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 torn", b"garbage" * 99])
def test_damaged_file(tmp_path, inputs, content):
    (tmp_path / "torn.npz").write_bytes(content)
    with pytest.raises(UsageError, match="not a readable archive"):
        open_data(f"npz:{tmp_path / 'torn.npz'}", inputs)


def test_a_single_array_is_not_an_archive(tmp_path, inputs):
    np.save(tmp_path / "one.npy", np.zeros(3))
    with pytest.raises(UsageError, match="not a readable archive"):
        open_data(f"npz:{tmp_path / 'one.npy'}", inputs)


def test_a_validation_split_of_its_own(tmp_path):
    spec = save(tmp_path, x_val=np.zeros((3, 32, 32, 3), np.uint8), y_val=np.array([0, 1, 2]))
    data = open_data(spec, InputSpec(shapes=((3, 32, 32),)))
    assert (len(data.train), len(data.val), len(data.test)) == (4, 3, 2)
    assert data.images("val") is data.val


def test_an_archive_may_say_how_many_classes_there_are(tmp_path):
    """A few images of ImageNet need not show its last class, and yet fit its models."""
    inputs = InputSpec(shapes=((3, 32, 32),))
    assert open_data(save(tmp_path, classes=1000), inputs, classes=1000).classes == 1000
    with pytest.raises(UsageError, match="the model has 1000 outputs, but data has 3 classes") as found:
        open_data(save(tmp_path), inputs, classes=1000)
    assert "`classes` in the archive" in found.value.hint


def test_an_archive_that_unpacks_to_gigabytes_is_refused_unread(tmp_path):
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for key in GOOD:
            with archive.open(f"{key}.npy", "w", force_zip64=True) as entry:
                for _ in range(300):
                    entry.write(bytes(2**20))
    with pytest.raises(UsageError, match=r"would unpack to 1\.2 GiB"):
        open_data(f"npz:{tmp_path / 'bomb.npz'}", InputSpec(shapes=((3, 32, 32),)))


def test_an_array_that_claims_more_than_the_machine_has_is_refused_unread(tmp_path, inputs):
    header = {"descr": "|u1", "fortran_order": False, "shape": (2**22, 2**14, 2**14, 3)}
    with zipfile.ZipFile(tmp_path / "large.npz", "w") as archive:
        for key, value in GOOD.items():
            with archive.open(f"{key}.npy", "w") as entry:
                if key == "x_train":
                    np.lib.format.write_array_header_1_0(entry, header)
                else:
                    np.save(entry, value)
    with pytest.raises(UsageError, match=r"x_train\.npy claims 3,377,\d{3},\d{3},\d{3},\d{3} bytes"):
        open_data(f"npz:{tmp_path / 'large.npz'}", inputs)
    with (tmp_path / "large.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
    with pytest.raises(UsageError, match="not a readable archive"):
        open_data(f"npz:{tmp_path / 'large.npy'}", inputs)


def test_an_archive_that_says_it_is_encrypted_is_refused(tmp_path):
    spec = save(tmp_path)
    content = bytearray((tmp_path / "data.npz").read_bytes())
    for signature, flag in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + flag] |= 1
    (tmp_path / "data.npz").write_bytes(content)
    with pytest.raises(UsageError, match="not a readable archive"):
        open_data(spec, InputSpec(shapes=((3, 32, 32),)))
