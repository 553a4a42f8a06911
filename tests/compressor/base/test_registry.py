import importlib
import re
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from compressor.base import registry as registries
from compressor.base.errors import UsageError
from compressor.base.registry import Registry, listed
from compressor.channels.rules import RULES
from compressor.cli.listing import PACKAGES, filled
from compressor.criteria import CRITERIA

ROOT = Path(__file__).parents[3]

UNREADABLE = {"operation rule": "one rule serves many operations, whose names `rule` registers in a loop"}
"""Registries whose names cannot be read from files, and why."""


def made() -> Iterator[Registry[object]]:
    """Return the registries that the files of ours that make one know, some of them twice."""
    for package in ("compressor", "detection", "export", "bench"):
        for path in sorted((ROOT / package).rglob("*.py")):
            if re.search(r"= Registry\(", path.read_text()):
                parts = path.relative_to(ROOT).with_suffix("").parts
                module = importlib.import_module(".".join(parts).removesuffix(".__init__"))
                found = [value for value in vars(module).values() if isinstance(value, Registry)]
                yield from found or [RULES.registry]


EVERY = list({registry.kind: registry for registry in made()}.values())


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


@pytest.mark.parametrize("registry", EVERY, ids=lambda registry: registry.kind)
def test_what_is_listed_without_an_import_is_what_is_registered(registry: Registry[object]) -> None:
    names = tuple(listed(registry.kind, registry.package))
    assert (names == tuple(registry)) == (registry.kind not in UNREADABLE)


def test_help_texts_know_the_packages_of_the_registries() -> None:
    packages = {registry.kind: registry.package for registry in EVERY}
    assert len(packages) >= 9
    assert {kind: packages[kind] for kind in PACKAGES} == PACKAGES


def test_files_points_and_packages_are_listed_but_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "shapes_for_a_test" / "flat"
    (package / "square").mkdir(parents=True)
    (package.parent / "__init__.py").write_text("raise AssertionError\n")
    (package / "__init__.py").write_text('"""``flat``"""\nREGISTRY.register(name)(1)\n')
    (package / "disc.py").write_text('"""``disc:RADIUS``: a disc."""\n@FLAT.register("disc")\nclass D: ...\n')
    (package / "square" / "__init__.py").write_text('F.register("square")(1)\nF.register("oblong")(1)\n')
    (package / "square" / "inner.py").write_text('FLAT.register("unread")(1)\n')
    point = EntryPoint(name="ring", value="nowhere:RING", group="compress.flat_shape")
    monkeypatch.setattr(registries, "entry_points", lambda group: [point] if group == point.group else [])
    monkeypatch.syspath_prepend(tmp_path)
    assert listed("flat shape", "shapes_for_a_test.flat") == {
        "disc": "disc:RADIUS", "oblong": "oblong", "ring": "ring", "square": "square",
    }  # fmt: skip
    assert "shapes_for_a_test" not in sys.modules


def test_a_help_text_lists_two_kinds_as_one() -> None:
    names = sorted([*listed("criterion", "compressor.criteria"), *listed("method", "compressor.methods")])
    assert filled("By: {criterion|method}.") == f"By: {', '.join(names)}."
    assert filled("Numbers, {1,2} or {}") == "Numbers, {1,2} or {}"
