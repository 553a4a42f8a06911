import pytest

from compressor.base.errors import UsageError
from compressor.base.registry import Registry
from compressor.criteria import CRITERIA


def test_a_misspelt_name_suggests_close_ones() -> None:
    with pytest.raises(UsageError) as caught:
        CRITERIA.get("fpmg")
    assert "unknown criterion 'fpmg'" in caught.value.message
    assert "did you mean fpgm" in caught.value.hint


def test_a_name_is_taken_once() -> None:
    registry: Registry[int] = Registry("number", "compressor.criteria")
    registry.register("one")(1)
    with pytest.raises(ValueError, match="twice"):
        registry.register("one")(2)
