"""What every step of a plan must do, for every kind in the registry; methods make the examples.

A kind that no method makes, and that is no padding, gets an example in `EXAMPLES`.
"""

import dataclasses
import json
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from compressor.base.errors import ArtifactError, OracleError
from compressor.base.modules import named_tensors, weights_digest
from compressor.channels import trace
from compressor.methods import known_methods
from compressor.steps import STEPS, Step, step_from_json, step_to_json
from compressor.steps.align import widening
from compressor.steps.plan import PrunePlan
from compressor.steps.shrink import ORACLE_LIMIT, check, outputs_of, relative_difference, shrink
from compressor.training.constraints import FREE
from tests.compressor.methods.small import artifact, planned, started


def padding() -> Step:
    """Widen every group by three units that nothing reads."""
    model = artifact()
    graph = trace(model.view, model.example())
    return widening(graph, dict.fromkeys(graph.free, 3))


EXAMPLES: dict[str, Callable[[], Step]] = {"padding": padding}
"""Steps that are made by hand."""


def free(name: str) -> bool:
    """Say whether a method has a plan without training."""
    _, method, state = started(name)
    return method.constraint(state) is FREE


@cache
def steps(source: str) -> tuple[tuple[nn.Module, Step], ...]:
    """Return the steps of an example or of a method, each with the model that it is for."""
    if source not in EXAMPLES and not free(source):
        pytest.skip(f"{source} trains before it has a plan")
    model = artifact().module
    made = (EXAMPLES[source](),) if source in EXAMPLES else planned(source).plan.steps
    plan = PrunePlan(arch="small", steps=made)
    before = [shrink(model, dataclasses.replace(plan, steps=made[:count])) for count in range(len(made))]
    return tuple(zip(before, made, strict=True))


every_source = pytest.mark.parametrize("source", [*EXAMPLES, *known_methods()])


def inputs() -> list[Tensor]:
    return [torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(3))]


def test_every_kind_has_an_example() -> None:
    made = {step.kind for source in [*EXAMPLES, *filter(free, known_methods())] for _, step in steps(source)}
    assert made == set(STEPS), "give an example of the kind that lacks one in EXAMPLES"


@every_source
def test_a_step_survives_a_file(source: str) -> None:
    for _, step in steps(source):
        document = step_to_json(step)
        assert next(iter(document)) == "kind"
        assert STEPS.get(step.kind) is type(step)
        assert step_from_json(json.loads(json.dumps(document, allow_nan=False)), "here") == step
        name = dataclasses.fields(step)[0].name  # type: ignore[arg-type]
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(step, name, None)


@every_source
def test_documents_that_are_none_are_refused(source: str) -> None:
    for _, step in steps(source):
        document = step_to_json(step)
        for name in set(document) - {"kind"}:
            with pytest.raises(ArtifactError, match="here"):
                step_from_json({**document, name: {"no": "such"}}, "here")
        for wrong in ({"surprise": 1}, {"kind": "no_such_kind"}):
            with pytest.raises(ArtifactError, match="here"):
                step_from_json({**document, **wrong}, "here")


@every_source
def test_its_mask_has_the_old_shapes_and_computes_the_same(source: str) -> None:
    for model, step in steps(source):
        masked, small = step.mask(model), step.shrink(model)
        assert shapes(masked) == shapes(model)
        difference = relative_difference(outputs_of(masked, inputs()), outputs_of(small, inputs()))
        assert difference <= ORACLE_LIMIT


def shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in named_tensors(model).items()}


@every_source
def test_its_argument_stays_as_it_is_whatever_happens_to_the_result(source: str) -> None:
    for model, step in steps(source):
        digest = weights_digest(model)
        for changed in (step.shrink(model), step.mask(model)):
            assert changed is not model
            with torch.no_grad():
                for tensor in named_tensors(changed).values():
                    tensor.zero_()
        assert weights_digest(model) == digest


@every_source
def test_it_says_what_it_decided(source: str) -> None:
    for model, step in steps(source):
        names = [decision.name for decision in step.decisions]
        assert len(set(names)) == len(names)
        assert all(decision.size > 0 and decision.kept > 0 for decision in step.decisions)
        changes = shapes(step.shrink(model)) != shapes(model)
        assert changes == any(decision.kept != decision.size for decision in step.decisions)


@every_source
def test_it_loses_nothing_where_it_says_so(source: str) -> None:
    for model, step in steps(source):
        plan = PrunePlan(arch="small", steps=(step,))
        assert check(model, plan, inputs()).max_relative_difference is not None
        difference = relative_difference(
            outputs_of(model, inputs()), outputs_of(step.shrink(model), inputs())
        )
        assert difference <= ORACLE_LIMIT or not step.lossless
        if difference > ORACLE_LIMIT and "lossless" in step_to_json(step):
            lie: Any = dataclasses.replace(step, lossless=True)  # type: ignore[type-var]
            with pytest.raises(OracleError, match="differs"):
                check(model, dataclasses.replace(plan, steps=(lie,)), inputs())


@every_source
def test_it_refuses_a_model_that_it_is_not_for(source: str) -> None:
    for model, step in steps(source):
        step.check(model)
        for stranger in (nn.Identity(), nn.Sequential(nn.Conv2d(3, 2, 1), nn.Linear(2, 2))):
            with pytest.raises(ArtifactError) as caught:
                step.check(stranger)
            assert caught.value.hint
