import io
import os
import pickle
import pickletools
import struct
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch

from compressor.base.errors import UsageError
from compressor.data import open_data
from compressor.zoo.inputs import InputSpec

NAMES = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
ROWS = np.random.default_rng(0).integers(0, 256, (3, 3072), dtype=np.uint8)
BATCH = {"batch_label": "x", "labels": [3, 1, 2], "data": ROWS, "filenames": ["a.png", "b.png", "c.png"]}


class Python2Pickler(pickle._Pickler):
    """Writes str and bytes alike as the strings of Python 2, as the original files have them."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def save_string(self, value):
        raw = value.encode("latin1") if isinstance(value, str) else value
        self.write(b"T" + struct.pack("<i", len(raw)) + raw)
        self.memoize(value)

    dispatch[str] = dispatch[bytes] = save_string


def python2(content) -> bytes:
    file = io.BytesIO()
    Python2Pickler(file, protocol=2).dump(content)
    return file.getvalue().replace(b"numpy._core.multiarray", b"numpy.core.multiarray")


def write(folder: Path, content: bytes) -> str:
    for name in NAMES:
        (folder / name).write_bytes(content)
    return f"cifar10:{folder}"


def check_values(spec, cpu):
    data = open_data(spec, InputSpec(shapes=((3, 32, 32),), mean=(0.0,), std=(1.0,)))
    assert (len(data.train) + len(data.val), len(data.test), data.classes) == (15, 3, 10)
    images, labels = next(data.test.batches(3, device=cpu))
    assert torch.equal((images * 255).round().to(torch.uint8), torch.from_numpy(ROWS.reshape(3, 3, 32, 32)))
    assert labels.tolist() == [3, 1, 2]


def test_files_as_python_2_wrote_them(tmp_path, cpu):
    content = python2(BATCH)
    opcodes = {opcode.name for opcode, _, _ in pickletools.genops(content)}
    assert "BINSTRING" in opcodes
    assert "BINUNICODE" not in opcodes
    check_values(write(tmp_path, content), cpu)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_files_rewritten_by_python_3(tmp_path, cpu, protocol):
    check_values(write(tmp_path, pickle.dumps(BATCH, protocol=protocol)), cpu)


def test_keys_may_be_bytes_and_the_folder_its_parent(tmp_path, cpu):
    (tmp_path / "cifar-10-batches-py").mkdir()
    content = {key.encode(): value for key, value in BATCH.items()}
    write(tmp_path / "cifar-10-batches-py", pickle.dumps(content, protocol=2))
    check_values(f"cifar10:{tmp_path}", cpu)


class Harmful:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_code_is_refused_and_does_not_run(tmp_path, inputs, protocol):
    harmed = tmp_path / "harmed"
    spec = write(tmp_path, pickle.dumps({"data": Harmful(harmed), "labels": []}, protocol=protocol))
    with pytest.raises(UsageError, match=r"mkdir, which is code and not data"):
        open_data(spec, inputs)
    assert not harmed.exists()


@pytest.mark.parametrize(
    "module", [b"builtins\neval", b"numpy\nload", b"numpy.testing\nmeasure", b"_codecs\ndecode"]
)
def test_other_names_are_refused_even_from_numpy(tmp_path, inputs, module):
    with pytest.raises(UsageError, match="code and not data"):
        open_data(write(tmp_path, b"c" + module + b"\n(S'1'\ntR."), inputs)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "EOFError"),
        (python2(BATCH)[:-40], "is not a batch"),
        (b"\x80\x02garbage", "is not a batch"),
        (b"c_codecs\nencode\n(S'1'\nS'rot13'\ntR.", "rot13"),
        (pickle.dumps([1]), "holds a list"),
        (pickle.dumps({"data": ROWS}), "no usable data and labels"),
        (pickle.dumps({"data": ROWS, "labels": ["a", "b", "c"]}), "no usable data and labels"),
        (pickle.dumps({"data": ROWS, "labels": [1]}), r"labels have shape \(1,\)"),
        (pickle.dumps({"data": ROWS.astype(float), "labels": [1, 2, 3]}), "data is float64"),
        (pickle.dumps({"data": ROWS, "labels": [1, 10, 3]}), "image 1 has label 10"),
    ],
)
def test_malformed_batch(tmp_path, inputs, content, words):
    with pytest.raises(UsageError, match=words):
        open_data(write(tmp_path, content), inputs)


def test_missing_batch_is_named(tmp_path, inputs):
    spec = write(tmp_path, pickle.dumps(BATCH))
    (tmp_path / "data_batch_4").unlink()
    with pytest.raises(UsageError, match="data_batch_4"):
        open_data(spec, inputs)
