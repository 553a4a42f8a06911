import pytest
import torch
from torch import Tensor

from compressor.criteria import CRITERIA
from compressor.criteria import chip as module
from compressor.criteria.chip import Chip, independence
from compressor.methods.collect import FeatureReducer


def by_definition(maps: Tensor) -> Tensor:
    whole = torch.linalg.svdvals(maps).sum()
    rows = range(len(maps))
    without = [maps[[m for m in rows if m != n]] for n in rows]
    return torch.stack([whole - torch.linalg.svdvals(rest).sum() for rest in without])


def test_is_registered() -> None:
    assert CRITERIA.get("chip") is Chip
    assert isinstance(Chip(), FeatureReducer)


def test_independence_derived_by_hand() -> None:
    """Orthogonal rows lose their own length; of two equal rows r, either loses (sqrt 2 - 1) |r|."""
    maps = torch.tensor([[3.0, 0, 0, 0], [0, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]]).double()
    expected = [3, 2**0.5 - 1, 2**0.5 - 1, 0]
    assert independence(maps).tolist() == pytest.approx(expected, abs=1e-12)


def test_maps_are_rectified_and_averaged_over_images() -> None:
    first = torch.tensor([[[3.0, 0], [0, 0]], [[0, -5.0], [0, 4.0]]])
    second = torch.tensor([[[0.0, 1], [0, 0]], [[-1.0, 0], [0, 0]]])
    assert Chip().reduce(torch.stack([first, second])).tolist() == pytest.approx([2, 2], abs=1e-12)


@pytest.mark.parametrize("shape", [(6, 20), (20, 6), (9, 9), (5, 1), (1, 7)])
def test_matches_the_definition(shape: tuple[int, int]) -> None:
    maps = torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64).relu()
    torch.testing.assert_close(independence(maps), by_definition(maps), rtol=0, atol=1e-9)


def test_chunks_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    for shape in ((12, 30), (30, 12)):
        maps = torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        whole = independence(maps)
        with monkeypatch.context() as patch:
            patch.setattr(module, "_CHUNK_ELEMENTS", 5 * 12 * 12)
            torch.testing.assert_close(independence(maps), whole, rtol=0, atol=1e-12)
