"""The oracle over torchvision; the long form, ``python -m bench.studies.oracle.run``, checks its giants."""

import pytest

from bench.studies.oracle.run import oracle_row, torchvision_names

NORMS_OVER_CHANNELS = ("convnext", "swin", "vit", "maxvit")


GIANTS = ("regnet_y_128gf", "vit_h_14", "vit_l_16", "vit_l_32")
"""Above 200 million parameters; smaller models of their families run the same code."""


@pytest.mark.parametrize("name", [name for name in torchvision_names() if name not in GIANTS])
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


def test_giants_are_models_of_torchvision() -> None:
    assert set(GIANTS) <= set(torchvision_names())
