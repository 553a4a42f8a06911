"""Settings that people write: every mistake names the key and says what would be right."""

from dataclasses import dataclass, field

import pytest

from compressor.base.errors import UsageError
from compressor.base.options import from_table, with_options


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    name: str
    walls: tuple[int, ...] = ()
    prices: dict[str, float] = field(default_factory=dict)
    words: dict[str, bool | int] = field(default_factory=dict)
    seed: int = 0

    def __post_init__(self) -> None:
        if len(self.walls) == 1:
            raise UsageError("one wall makes no room", "give more.")


def test_arrays_are_tuples_and_integers_are_numbers() -> None:
    room = from_table(Room, {"name": "hall", "walls": [3, 4], "prices": {"rent": 5}}, "file")
    assert room == Room(name="hall", walls=(3, 4), prices={"rent": 5.0})


@pytest.mark.parametrize(
    ("table", "message", "hint"),
    [
        ({"nam": "hall"}, "unknown key 'nam'", "did you mean name"),
        ({}, "name is missing", "field required."),
        ({"name": 3}, "name is 3", "input should be a valid string."),
        ({"name": "a", "walls": [1, "two"]}, "walls.1 is 'two'", "input should be a valid integer."),
        ({"name": "a", "prices": {"rent": "much"}}, "prices.rent is 'much'", "valid number"),
        ({"name": "a", "words": {"open": "yes"}}, "words.open is 'yes'", "valid boolean"),
        ({"name": "a", "walls": [1]}, "one wall makes no room", "give more."),
    ],
)
def test_a_mistake_in_a_table_is_named(table: dict[str, object], message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        from_table(Room, table, "my.toml: [room]")
    assert caught.value.message == f"my.toml: [room]: {message}"
    assert hint in caught.value.hint


def test_the_seed_is_an_option_like_others() -> None:
    assert with_options(Room, "hall", {"name": "a"}, seed=3).seed == 3
    assert with_options(Room, "hall", {"name": "a", "seed": 4}, seed=3).seed == 4


def test_a_mistake_in_an_option_names_what_the_options_are_for() -> None:
    with pytest.raises(UsageError, match="unknown option of hall 'wals'"):
        with_options(Room, "hall", {"wals": 1}, seed=0)
    with pytest.raises(UsageError, match="option name of hall is 1"):
        with_options(Room, "hall", {"name": 1}, seed=0)
    with pytest.raises(UsageError, match=r"^one wall"):
        with_options(Room, "hall", {"name": "a", "walls": [1]}, seed=0)
