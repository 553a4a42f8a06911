"""The model card of an artifact whose every name comes from somebody who means harm."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from compressor.artifact import Artifact, Manifest
from compressor.artifact.card import model_card
from compressor.artifact.store import CARD
from compressor.base.text import foreign
from compressor.tasks.scores import Accuracy, Moment
from compressor.zoo import find

HOSTILE = (
    "x\n# heading",
    "x\n---\nbase_model: other",
    "---",
    "x\r\n\r\n## heading\n",
    '"\nbase_model: "other',
    "<script>alert(1)</script>",
    "[a](http:x) ![b](y) **c** `d` ~~e~~",
    "| a | b |\n|---|---|",
    "\x1b[2J\x9b",
    "x\u2028# heading\u202e",
    "1. x",
    "- [ ] x",
    "    code",
    "&amp; \\",
    "\U0001f680 größe 图像",
)


@pytest.fixture(scope="module")
def usual() -> Artifact:
    dense = Artifact.dense(find("resnet20_cifar"))
    manifest = replace(dense.manifest, method="l1")
    score = Accuracy(top1=50.0, top5=90.0, images=10, loss=1.0)
    plan = replace(manifest.plan, notes=("a note",))
    papers = replace(manifest, plan=plan, data="digits", scores={Moment("test", "dense"): score})
    return replace(dense, manifest=papers)


def named(manifest: Manifest, name: str) -> Manifest:
    """Return a manifest all of whose names but the architecture's are ``name``."""
    return replace(
        manifest, method=name, weights_from=name, data=name, plan=replace(manifest.plan, notes=(name,)),
        scores={Moment(name): next(iter(manifest.scores.values()))},
    )  # fmt: skip


def parts(card: str) -> tuple[dict[str, object], list[Token]]:
    """Return the front matter as YAML would read it, and the page as Markdown renders it."""
    opening, matter, page = card.split("---\n", 2)
    assert opening == ""
    pairs = (line.partition(": ") for line in matter.splitlines())
    found: dict[str, object] = {}
    for key, _, value in pairs:
        assert key not in found
        found[key] = value if key == "tags" else json.loads(value)
    return found, MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(page)


def shape(tokens: list[Token]) -> list[str]:
    """Return what the page is made of, text left out."""
    inner = [child.type for token in tokens for child in token.children or []]
    return [token.type for token in tokens] + [kind for kind in inner if kind not in ("text", "text_special")]


def words(tokens: list[Token]) -> str:
    return "\n".join("".join(child.content for child in token.children or []) for token in tokens)


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_text_in_the_card(usual: Artifact, tmp_path: Path, name: str) -> None:
    replace(usual, manifest=named(usual.manifest, name)).save(tmp_path / "a")
    card = (tmp_path / "a" / CARD).read_text(encoding="utf-8")
    matter, page = parts(card)
    assert matter == {"base_model": "resnet20_cifar", "datasets": [foreign(name)], "tags": "[]"}
    _, plain = parts(model_card(usual.manifest))
    assert shape(page) == shape(plain)
    times = words(page).count(foreign(name).strip())
    assert times >= 5, "method, weights, data, moment and note, as they are"


@pytest.mark.parametrize("name", HOSTILE)
def test_an_architecture_is_text_too(usual: Artifact, name: str) -> None:
    matter, page = parts(model_card(replace(usual.manifest, arch=name)))
    assert matter["base_model"] == foreign(name)
    assert shape(page) == shape(parts(model_card(usual.manifest))[1])
    assert [token.tag for token in page if token.type == "heading_open"] == ["h1"]


def test_the_front_matter_holds_characters_as_they_are(usual: Artifact) -> None:
    """YAML reads a character beyond 16 bits written as two as two."""
    card = model_card(replace(usual.manifest, data="\U0001f680"))
    assert 'datasets: ["\U0001f680"]' in card


def test_files_whose_names_are_no_text_can_be_named(usual: Artifact, tmp_path: Path) -> None:
    """Such a name comes from the command line; it must not end in a refusal after hours of training."""
    manifest = replace(usual.manifest, weights_from="w\udcff.pth", data="npz:d\udcff.npz")
    saved = replace(usual, manifest=manifest).save(tmp_path / "a").manifest
    assert (saved.weights_from, saved.data) == (r"w\udcff.pth", r"npz:d\udcff.npz")
    assert r"Weights from: w\\udcff.pth" in (tmp_path / "a" / CARD).read_text(encoding="utf-8")
