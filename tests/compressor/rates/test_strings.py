import pytest

from compressor.base.errors import UsageError
from compressor.rates import parse_rates


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[0.]+[0.18]*3", (0.0, 0.18, 0.18, 0.18)),
        ("[0.2,0.]*2", (0.2, 0.0, 0.2, 0.0)),
        ("[0.] + [ 0.1 ]", (0.0, 0.1)),
        ("[0]", (0.0,)),
    ],
)
def test_published_strings(text: str, expected: tuple[float, ...]) -> None:
    assert parse_rates(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0.5",
        "[0.1",
        "[0.1]*",
        "[0.1]x",
        "[0.1]+",
        "[a]",
        "[1.0]",
        "[-0.1]",
        "[nan]",
        "[__import__]",
        "[]",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_rates(text)
    assert caught.value.hint
