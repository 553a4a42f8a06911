"""The strict reader and the strict writer."""

from pathlib import Path

import pytest

from compressor.base.documents import parse_json, parse_toml, read_json, read_toml, to_json
from compressor.base.errors import ArtifactError, CompressError, UsageError


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"a": NaN}', "NaN is no number"),
        ('{"a": -Infinity}', "-Infinity is no number"),
        ('{"a": 1e999}', "too large"),
        ('{"a": 1, "a": 2}', "the key 'a' occurs twice"),
        ("[" * 100_000, "nested too deeply"),
        ("1" * 5000, "4300"),
        (b"\xff", "utf-8"),
        ("", "Expecting value"),
    ],
)
def test_what_is_no_strict_json_is_refused(text: str | bytes, why: str) -> None:
    with pytest.raises(ArtifactError, match=why):
        parse_json(text, "file")


def test_a_large_file_is_refused_unread(tmp_path: Path) -> None:
    file = tmp_path / "large"
    with file.open("wb") as stream:
        stream.truncate(2**40)
    with pytest.raises(ArtifactError, match="larger than 16 MiB"):
        read_json(file)


@pytest.mark.parametrize("text", ["a = ", "a = " + "[" * 100_000, "a = 1\na = 2", "\x00"])
def test_what_is_no_toml_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read file"):
        parse_toml(text, "file", "give another")
    (tmp_path / "recipe.toml").write_bytes(b"\xff")
    with pytest.raises(UsageError, match=r"cannot read recipe .*utf-8"):
        read_toml(tmp_path / "recipe.toml", "give another")


def test_no_document_with_nan_is_written() -> None:
    with pytest.raises(CompressError, match=r"metrics\.0\.loss is nan"):
        to_json({"metrics": [{"loss": float("nan")}]}, "document")
