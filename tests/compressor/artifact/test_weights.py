import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from compressor.artifact.weights import built, load_weights, read_state
from compressor.base.errors import UsageError
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


def _with(change: object) -> dict[str, object]:
    state: dict[str, object] = dict(find("resnet20_cifar").build().state_dict())
    change(state)
    return state


def _odd(change: Callable[[Tensor], Tensor]) -> dict[str, object]:
    """Return a checkpoint that fits, of which one tensor is not like the others."""
    return _with(lambda state: state.update({"fc.weight": change(state["fc.weight"])}))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({0: torch.ones(1), 1: torch.ones(2)}, "no tensors with names"),
        (_odd(torch.Tensor.to_sparse), "fc.weight is no plain tensor"),
        (_odd(lambda weight: weight.to(torch.complex64)), "fc.weight is no plain tensor"),
        ({"w\x1b[2J\n# x": torch.ones(2)}, r"w\\x1b\[2J\\x0a# x"),
        ({"w": torch.ones(1).expand(10**7, 10**6)}, "does not fit"),
        ({"w": torch.ones(2).to(torch.float8_e4m3fn)}, "w is no plain tensor"),
        ({"w": torch.ones(2, device="meta")}, "w is no plain tensor"),
        (_with(lambda s: s.update({"fc.bias": torch.ones(10, dtype=torch.int64)})), "fc.bias is torch.int64"),
        (
            _with(lambda s: s.update({"fc.bias": torch.full((10,), 1e300, dtype=torch.float64)})),
            "fc.bias holds NaN",
        ),
        ([1, 2], "no state dict"),
        ({"state_dict": {"state_dict": {}}}, "no tensors"),
        (_with(lambda s: s.update({"fc.bias": torch.full((10,), float("nan"))})), "fc.bias holds NaN"),
        (
            _with(lambda s: s.update({"bn1.running_var": torch.full((16,), float("inf"))})),
            "running_var holds NaN",
        ),
    ],
)
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, content: object, message: str) -> None:
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(UsageError, match=message) as caught:
        built(find("resnet20_cifar"), tmp_path / "w.pth", {})
    assert caught.value.hint
    assert "\x1b" not in str(caught.value)


def test_an_archive_that_unpacks_to_more_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "w.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\0" * 10**8)
    with pytest.raises(UsageError, match="would unpack to 100,000,000 bytes"):
        built(find("resnet20_cifar"), tmp_path / "w.pth", {})


@pytest.mark.filterwarnings("ignore")
def test_quantised_tensors_are_refused(tmp_path: Path) -> None:
    odd = _odd(lambda weight: torch.quantize_per_tensor(weight, 0.1, 0, torch.qint8))
    torch.save(odd, tmp_path / "w.pth")
    with pytest.raises(UsageError, match=r"fc\.weight is no plain tensor"):
        built(find("resnet20_cifar"), tmp_path / "w.pth", {})
