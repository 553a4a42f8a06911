"""What every method must do, for every method in the registry and for ranking by every criterion."""

import copy
import dataclasses
import json
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from pydantic import TypeAdapter
from torch import nn

from compressor.base.documents import Json
from compressor.base.errors import CompressError, UsageError
from compressor.base.modules import weights_digest
from compressor.channels import ChannelGraph
from compressor.methods import Method, known_methods, method_of
from compressor.methods.ranking import Planned
from compressor.steps.plan import plan_from_json, plan_to_json
from compressor.steps.shrink import ORACLE_LIMIT, check, shrink
from compressor.training.constraints import FREE, Constraint
from compressor.zoo import Architecture
from tests.compressor.methods.small import REQUEST, artifact, batches, started

NAMES = known_methods()


def written(state: Any) -> Json:
    """Return what a method decided as a document: what is traced or built can be had again from the model."""
    if isinstance(state, Planned):
        return plan_to_json(state.plan)
    derived = ChannelGraph | Architecture
    values = {field.name: getattr(state, field.name) for field in dataclasses.fields(state)}
    decided = {name: value for name, value in values.items() if not isinstance(value, derived)}
    document: Json = TypeAdapter(Any).dump_python(decided, mode="json")
    return document


@pytest.mark.parametrize("name", NAMES)
def test_starting_leaves_the_model_as_it_was(name: str) -> None:
    model, _, _ = started(name)
    assert weights_digest(model.module) == weights_digest(artifact().module)
    assert not any(module.training for module in model.module.modules())
    assert all(parameter.grad is None for parameter in model.module.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_the_same_start_gives_the_same_state_whatever_was_drawn_before(name: str) -> None:
    _, _, first = started(name)
    torch.rand(7)
    _, _, again = started(name)
    assert written(first) == written(again)


@pytest.mark.parametrize("name", NAMES)
def test_what_it_decides_is_data(name: str) -> None:
    _, _, state = started(name)
    assert type(state).__dataclass_params__.frozen
    document = json.loads(json.dumps(written(state), allow_nan=False))
    if isinstance(state, Planned):
        assert plan_from_json(document) == state.plan


@pytest.mark.parametrize("name", NAMES)
def test_it_says_whether_it_looks_at_images(name: str) -> None:
    model, method = artifact(), method_of(name, {}, seed=0)
    if not method.looks:
        assert written(method.start(model, REQUEST, None)) == written(started(name)[2])
        return
    with pytest.raises(UsageError) as caught:
        method.start(model, REQUEST, None)
    assert "--data" in caught.value.hint


@pytest.mark.parametrize("name", NAMES)
def test_its_constraint_lasts_a_step_of_training(name: str) -> None:
    model, method, state = started(name)
    trained = method.prepare(copy.deepcopy(model.module), state).train()
    constraint = method.constraint(state)
    step(trained, constraint)
    assert all(bool(torch.isfinite(parameter).all()) for parameter in trained.parameters())
    assert json.loads(json.dumps(constraint.identity())) == constraint.identity()
    assert all(isinstance(value, float) for value in constraint.measure(trained).values())


def step(model: nn.Module, constraint: Constraint) -> None:
    """Do what the loop does with one batch."""
    groups = constraint.parameters(model)
    trained = {parameter for group in groups for parameter in group["params"]}
    assert trained <= set(model.parameters())
    images, labels = next(batches())
    F.cross_entropy(model(images), labels).backward()
    with torch.no_grad():
        constraint.before_step(model, 0.1)
        torch.optim.SGD(groups, lr=0.1).step()
        constraint.after_step(model)


@pytest.mark.parametrize("name", NAMES)
def test_its_plan_is_proved_and_makes_the_model_smaller(name: str) -> None:
    model, method, state = started(name)
    prepared = method.prepare(copy.deepcopy(model.module), state)
    found = finished(prepared, method, state)
    if found is None:
        return
    proof = check(prepared, found.plan, model.example())
    assert found.oracle.refused is None
    assert found.oracle.max_relative_difference is not None
    assert found.oracle.max_relative_difference <= ORACLE_LIMIT
    assert proof == found.oracle
    small = shrink(prepared, found.plan)
    assert sum(p.numel() for p in small.parameters()) < sum(p.numel() for p in model.module.parameters())
    assert all(decision.kept <= decision.size for decision in found.plan.decisions)
    assert any(decision.kept < decision.size for decision in found.plan.decisions)


def finished(model: nn.Module, method: Method[Any], state: Any) -> Planned | None:
    """Return the plan, None where the method refuses a model that was not trained as it needs."""
    try:
        return method.finish(model, state)
    except CompressError:
        if method.constraint(state) is FREE:
            raise
        return None


@pytest.mark.parametrize("name", NAMES)
def test_an_option_that_it_lacks_is_refused_with_those_that_it_has(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        method_of(name, {"no_such_option": 1}, seed=0)
    assert "no_such_option" in caught.value.message
