import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compressor.base.errors import UsageError
from compressor.tasks.recipe import Recipe, recipe_from_table, recipe_from_toml

POSITIVE = st.floats(min_value=1e-12, max_value=1e12)
SHARE = st.floats(min_value=0, max_value=1)
RECIPES = st.builds(
    Recipe,
    epochs=st.integers(0, 1000),
    batch_size=st.integers(1, 4096),
    lr=POSITIVE,
    schedule=st.sampled_from(["cosine", "step"]),
    milestones=st.lists(st.integers(1, 300), max_size=3).map(tuple),
    warmup_epochs=st.floats(0, 10),
    weight_decay=st.floats(0, 1),
    ema=SHARE,
    distill=SHARE,
    flip=st.booleans(),
    seed=st.integers(0, 2**31),
)


@given(RECIPES)
def test_every_field_is_read(tmp_path_factory, recipe):
    path = tmp_path_factory.getbasetemp() / "recipe.toml"
    # booleans, numbers, strings and arrays of them are written alike in JSON and TOML
    fields = dataclasses.asdict(recipe).items()
    path.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in fields))
    assert recipe_from_toml(path) == recipe


def test_fields_are_optional_and_integers_are_numbers(tmp_path):
    (tmp_path / "r.toml").write_text("epochs = 3\nlr = 1\nmilestones = [1, 2]\n")
    assert recipe_from_toml(tmp_path / "r.toml") == Recipe(epochs=3, lr=1.0, milestones=(1, 2))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("epoch = 3", "did you mean epochs"),
        ("epochs = '3'", "epochs is '3'"),
        ("epochs = 2.5", "epochs is 2.5"),
        ("amp = 1", "amp is 1"),
        ("schedule = 'linear'", "schedule is 'linear'"),
        ("milestones = [1.5]", "milestones.0 is 1.5"),
        ("lr = -1.0", "lr is -1.0"),
        ("lr = nan", "lr is nan"),
        ("ema = 1.5", "ema is 1.5"),
        ("momentum = 2.0", "momentum is 2.0"),
        ("seed = -1", "seed is -1"),
        ("warmup_epochs = -0.5", "warmup_epochs is -0.5"),
        ("temperature = 0.0", "temperature is 0.0"),
        ("epochs = ", "cannot read recipe"),
    ],
)
def test_bad_recipe_names_file_and_field(tmp_path, text, words):
    (tmp_path / "bad.toml").write_text(text)
    with pytest.raises(UsageError) as caught:
        recipe_from_toml(tmp_path / "bad.toml")
    assert words in str(caught.value)
    assert "bad.toml" in caught.value.message


def test_missing_file(tmp_path):
    with pytest.raises(UsageError, match=r"nowhere\.toml"):
        recipe_from_toml(tmp_path / "nowhere.toml")


def test_a_table_of_a_larger_file():
    assert recipe_from_table({"epochs": 1}, where="run.toml [train]") == Recipe(epochs=1)
    with pytest.raises(UsageError, match=r"run\.toml \[train\]"):
        recipe_from_table({"epochs": -1}, where="run.toml [train]")
