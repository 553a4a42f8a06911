"""What models are shown: the same images for all, every one of them, in batches of any size."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.candidates import Candidate
from bench.feeds import Feeds, feeds_for
from compressor.base.errors import UsageError
from compressor.data import open_data
from compressor.zoo.inputs import InputSpec
from export.backends import Session, SessionOptions
from export.session import Taken

INPUTS = InputSpec(shapes=((3, 8, 8),))
OPTIONS = SessionOptions()


class Recorder(Session):
    """Remembers what it was fed."""

    def __init__(self) -> None:
        super().__init__([Taken(name="image")], ["y"], "cpu")
        self.fed: list[Any] = []

    def _run(self, feed: Mapping[str, Any]) -> dict[str, Any]:
        self.fed.append(feed["image"])
        return {}

    def _release(self) -> None: ...


def candidate(name: str = "m") -> Candidate:
    return Candidate(
        name=name, source=Path("m.onnx"), inputs=INPUTS, digest="",
        data=lambda given, options: open_data(given, INPUTS),
    )  # fmt: skip


def shown(feeds: Feeds, model: Candidate, batch: int, calls: int) -> list[Any]:
    session = Recorder()
    call = feeds.call(session, model, batch)
    for _ in range(calls):
        call()
    return session.fed


def test_noise_is_one_batch_again_and_again() -> None:
    feeds = feeds_for([candidate()], None, OPTIONS, seed=0)
    first, second = shown(feeds, candidate(), 2, 2)
    assert first is second
    assert first.shape == (2, 3, 8, 8)
    assert feeds.fed is None


def test_images_are_the_test_splits_spread_over_it_and_all_are_shown() -> None:
    feeds = feeds_for([candidate()], "digits", OPTIONS, seed=0)
    assert feeds.fed is not None
    assert feeds.fed.describe() == "inputs are 64 images of digits, test"
    split = open_data("digits", INPUTS).test
    (images,) = feeds.images["m"]
    every = np.concatenate([batch[0].numpy() for batch in split.batches(64, device=torch.device("cpu"))])
    assert (images == every[:: len(split) // 64][:64]).all()
    seen = shown(feeds, candidate(), 1, 64)
    assert {image.tobytes() for image in seen} == {image.tobytes() for image in images}
    order = [image.tobytes() for image in seen]
    assert order != [image.tobytes() for image in images]  # shuffled, so that blocks do not repeat
    assert {image.tobytes() for image in shown(feeds, candidate(), 8, 8)[0]} < set(order)


def test_every_model_is_shown_the_same_in_the_same_order() -> None:
    models = [candidate("a"), candidate("b")]
    feeds = feeds_for(models, "digits", OPTIONS, seed=0)
    one, other = (shown(feeds, model, 4, 40) for model in models)
    assert all((a == b).all() for a, b in zip(one, other, strict=True))


def test_a_batch_larger_than_the_data_begins_again() -> None:
    feeds = feeds_for([candidate()], "digits", OPTIONS, seed=0)
    (batch,) = shown(feeds, candidate(), 100, 1)
    assert batch.shape[0] == 100
    assert (batch[:36] == batch[64:]).all()


def test_random_images_are_called_synthetic() -> None:
    feeds = feeds_for([candidate()], "synthetic:20x3x8x8", OPTIONS, seed=0)
    assert feeds.fed is not None
    assert feeds.fed.synthetic
    assert "synthetic images" in feeds.fed.describe()


def test_a_model_that_does_not_say_what_it_is_shown_is_refused() -> None:
    with pytest.raises(UsageError, match="m does not say what it is shown"):
        feeds_for([replace(candidate(), data=None)], "digits", OPTIONS, seed=0)
