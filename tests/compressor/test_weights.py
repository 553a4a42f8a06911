import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from compressor.errors import UsageError
from compressor.weights import load_weights, read_state
from compressor.zoo import find

ARCH = find("resnet20_cifar")


class Evil:
    """A pickle that would write a file when loaded."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (self.path, "w")


def test_data_parallel_checkpoints_of_the_authors_load(tmp_path: Path) -> None:
    model, other = ARCH.build(), ARCH.build()
    state = {
        f"module.{k.replace('fc.', 'linear.')}": v
        for k, v in model.state_dict().items()
        if "num_batches_tracked" not in k
    }
    torch.save({"state_dict": state, "best_prec1": 91.7}, tmp_path / "r20.th")
    load_weights(other, tmp_path / "r20.th", ARCH)
    assert torch.equal(model.fc.weight, other.fc.weight)


def test_half_precision_checkpoints_are_widened(tmp_path: Path) -> None:
    model, other = ARCH.build(), ARCH.build()
    save_file(
        {k: v.half() if v.is_floating_point() else v for k, v in model.state_dict().items()},
        tmp_path / "h.safetensors",
    )
    load_weights(other, tmp_path / "h.safetensors", ARCH)
    assert other.fc.weight.dtype == torch.float32


@pytest.mark.parametrize(
    "name", ["resnet20-12fca82f.th", "resnet32-d509ac18.th", "resnet44-014dd654.th", "resnet56-4bfd9763.th"]
)
def test_published_checkpoints_load(shared: Path, name: str) -> None:
    arch = find(f"{name.split('-', maxsplit=1)[0]}_cifar")
    model = arch.build()
    before = model.conv1.weight.clone()
    load_weights(model, shared / "data" / "weights" / name, arch)
    assert not torch.equal(model.conv1.weight, before)


def test_code_in_a_pickle_is_refused_and_not_run(tmp_path: Path) -> None:
    target = tmp_path / "written"
    (tmp_path / "evil.pth").write_bytes(pickle.dumps({"state_dict": Evil(str(target))}))
    with pytest.raises(UsageError, match="refused: it holds more than tensors"):
        read_state(tmp_path / "evil.pth")
    torch.save({"model": Evil(str(target))}, tmp_path / "evil2.pth")
    with pytest.raises(UsageError, match="refused"):
        read_state(tmp_path / "evil2.pth")
    assert not target.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a readable"),
        (b"hello", "refused|not a readable"),
        (b"PK\x03\x04" + b"0" * 50, "not a readable"),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(UsageError, match=message):
        read_state(tmp_path / "w.pth")


def test_a_missing_file_and_a_file_without_tensors(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no weights at"):
        read_state(tmp_path / "none.pth")
    torch.save({"epoch": 3}, tmp_path / "e.pth")
    with pytest.raises(UsageError, match="no tensors"):
        read_state(tmp_path / "e.pth")
    (tmp_path / "s.safetensors").write_bytes(b"123")
    with pytest.raises(UsageError, match="not a readable safetensors"):
        read_state(tmp_path / "s.safetensors")


def test_a_checkpoint_of_another_model_names_what_does_not_fit(tmp_path: Path) -> None:
    torch.save(
        find("resnet32_cifar").with_options({"num_classes": 7}).build().state_dict(), tmp_path / "w.pth"
    )
    with pytest.raises(UsageError) as caught:
        load_weights(ARCH.build(), tmp_path / "w.pth", ARCH)
    assert "fc.weight is (7, 64), not (10, 64)" in caught.value.message
    assert "unknown (layer1.3" in caught.value.message
    assert "--classes" in caught.value.hint
