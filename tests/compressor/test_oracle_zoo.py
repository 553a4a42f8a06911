import pytest

from bench.oracle import oracle_row, torchvision_names

NORMS_OVER_CHANNELS = ("convnext", "swin", "vit", "maxvit")


@pytest.mark.parametrize("name", torchvision_names())
def test_every_torchvision_model_shrinks_to_what_its_mask_computes(name: str) -> None:
    row = oracle_row(name)
    assert row.refused is None
    assert row.max_relative_difference is not None
    assert 0 < row.max_relative_difference <= 1e-4
    assert row.params_share < 0.72
    if name.startswith(NORMS_OVER_CHANNELS):
        assert "layer norm over channels" in row.kept_whole
    else:
        assert row.kept_whole == {}
