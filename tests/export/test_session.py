"""What a session checks before a runtime sees anything."""

import numpy as np
import pytest

from compressor.base.errors import UsageError
from export.session import OPEN, Array, Feed, Session, Taken

FLOAT = np.dtype(np.float32)


class Echo(Session):
    """Two inputs, one of which may have any type and shape."""

    def __init__(self, *inputs: Taken) -> None:
        super().__init__(inputs, ["y"], "cpu")

    def _run(self, feed: Feed) -> dict[str, Array]:
        return {"y": feed[self.input_names[0]]}

    def _release(self) -> None:
        raise AssertionError("only closing releases")


def array(*shape: int, kind: str = "float32") -> Array:
    return np.zeros(shape, kind)


@pytest.mark.parametrize("shape", [(1, 3), (8, 3), (0, 3)])
def test_open_sizes_take_anything(shape: tuple[int, ...]) -> None:
    assert Taken.of("x", FLOAT, (OPEN, 3)).fits(array(*shape))


@pytest.mark.parametrize(
    ("shape", "fits"), [((1, 3), False), ((2, 3), True), ((4, 3), True), ((5, 3), False)]
)
def test_a_range_of_sizes(shape: tuple[int, ...], fits: bool) -> None:
    assert Taken(name="x", dtype=FLOAT, smallest=(2, 3), largest=(4, 3)).fits(array(*shape)) is fits


def test_what_a_runtime_does_not_tell_is_left_to_it() -> None:
    assert Taken.of("x", None, None).fits(array(7, kind="int8"))
    assert Taken.of("x", FLOAT, None).fits(array(7))
    assert not Taken.of("x", FLOAT, None).fits(array(7, kind="int8"))


@pytest.mark.parametrize(
    ("taken", "text"),
    [
        (Taken.of("x", FLOAT, (OPEN, 3)), "float32 (any, 3)"),
        (Taken.of("x", FLOAT, (OPEN,)), "float32 (any,)"),
        (Taken.of("x", None, (1, 3)), "any type (1, 3)"),
        (Taken.of("x", FLOAT, None), "float32"),
        (Taken(name="x", dtype=FLOAT, smallest=(1, 3), largest=(8, 3)), "float32 (1, 3) to (8, 3)"),
    ],
)
def test_what_is_taken_can_be_read(taken: Taken, text: str) -> None:
    assert str(taken) == text


def test_the_input_that_is_wrong_is_named() -> None:
    session = Echo(Taken.of("a", FLOAT, (OPEN, 3)), Taken.of("b", FLOAT, (OPEN, 2)))
    with pytest.raises(UsageError, match=r"b is float32 \(1, 3\), the model takes float32 \(any, 2\)"):
        session.run({"a": array(1, 3), "b": array(1, 3)})
    with pytest.raises(UsageError, match="takes a, b, but was fed b"):
        session.run({"b": array(1, 2)})
    assert session.run({"b": array(1, 2), "a": array(1, 3)})["y"].shape == (1, 3)
