"""One architecture: everything the program knows of a model before it has weights."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import torch
from torch import Tensor, nn

from compressor.base.errors import UsageError
from compressor.base.packages import RENAME, shadowed
from compressor.base.text import foreign
from compressor.rates.layout import Layout
from compressor.zoo.inputs import InputSpec
from compressor.zoo.options import Option, check_options

USUAL_TASK: Final = "classification"
"""Name of the task of models, data and files that name none."""

State = dict[str, Tensor]
Form = Callable[[nn.Module, InputSpec], tuple[nn.Module, InputSpec]]
"""A model and its input -> the module that is exported, and what that takes."""


def unchanged(state: State) -> State:
    """Return a checkpoint whose keys are the model's already."""
    return state


def nothing(state: State) -> Mapping[str, Any]:
    """Return no constructor arguments: the checkpoint does not say."""
    return {}


def complete(state: State) -> tuple[str, ...]:
    """Return no prefixes: a checkpoint holds everything."""
    return ()


def itself(model: nn.Module) -> nn.Module:
    """Return a model that can be traced as it is."""
    return model


def as_built(model: nn.Module, inputs: InputSpec) -> tuple[nn.Module, InputSpec]:
    """Return a model that is deployed as it is."""
    return model, inputs


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """How to build a model and feed it.

    Attributes:
        name: what the user types.
        constructor: returns the model, randomly initialised.
        input: shapes and normalisation.
        kwargs: keyword arguments of the constructor; kept in artifacts.
        layouts: rate layouts by name, the default first.
        rename: maps a published checkpoint's keys to the model's.
        task: name of the task that the model does.
        view: returns a module around the model's own sub-modules, under the same names, whose forward runs
            everything on one tensor; tracing and counting use it.
        deployed: the form in which it is exported.
        forms: other forms, by name.
        scopes: name of a part -> patterns of the modules outside of it, which stay whole.
        implied: constructor arguments that a checkpoint gives away.
        optional: prefixes of tensors that a checkpoint may lack; they keep their random values.
        options: constructor arguments that may come from outside, with their values; None where the
            constructor is the user's own and takes what it takes.
        levers: what may be set anew for finished weights: option of the command line -> constructor argument.
    """

    name: str
    constructor: Callable[..., nn.Module]
    input: InputSpec
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    layouts: Mapping[str, Layout] = field(default_factory=dict)
    rename: Callable[[State], State] = unchanged
    task: str = USUAL_TASK
    view: Callable[[nn.Module], nn.Module] = itself
    deployed: Form = as_built
    forms: Mapping[str, Form] = field(default_factory=dict)
    scopes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    implied: Callable[[State], Mapping[str, Any]] = nothing
    optional: Callable[[State], tuple[str, ...]] = complete
    options: Mapping[str, Option] | None = None
    levers: Mapping[str, str] = field(default_factory=dict)

    def given(self, kwargs: Mapping[str, Any], inputs: InputSpec) -> "Architecture":
        """Return the same architecture with arguments and input that came from outside.

        Raises:
            UsageError: an argument is not declared, or its value out of bounds.
        """
        if self.options is not None:
            check_options(self.name, self.options, kwargs)
        return replace(self, kwargs=dict(kwargs), input=inputs)

    def build(self) -> nn.Module:
        """Return the model with random weights, in evaluation mode.

        Raises:
            UsageError: the constructor does not take the arguments, or imports a package of ours by mistake.
        """
        try:
            return self.constructor(**self.kwargs).eval()
        except (TypeError, ValueError) as error:
            raise UsageError(
                f"{foreign(self.name)} cannot be built with {foreign(dict(self.kwargs))}: {foreign(error)}",
                "check --classes and the factory's arguments.",
            ) from error
        except (ImportError, AttributeError) as error:
            package = shadowed(error)
            if package is None:
                raise
            words = f"{foreign(self.name)} cannot be built: {foreign(error)}"
            raise UsageError(words, RENAME.format(name=package)) from error

    def example(self, batch: int = 1, seed: int = 0) -> list[Tensor]:
        """Return standard normal inputs, each (batch, *shape)."""
        generator = torch.Generator().manual_seed(seed)
        return [torch.randn(batch, *shape, generator=generator) for shape in self.input.shapes]

    def with_options(
        self, kwargs: Mapping[str, Any] | None = None, shapes: tuple[tuple[int, ...], ...] | None = None
    ) -> "Architecture":
        """Return the same architecture with other constructor arguments or input shapes."""
        spec = replace(self.input, shapes=shapes) if shapes else self.input
        return replace(self, kwargs={**self.kwargs, **(kwargs or {})}, input=spec)

    def form(self, name: str | None) -> Form:
        """Return the form of a name, or the usual one.

        Raises:
            UsageError: the architecture has no such form.
        """
        if name is None:
            return self.deployed
        if name not in self.forms:
            known = ", ".join(self.forms) or "only its usual one"
            raise UsageError(f"{self.name} has no form {name!r}", f"it has {known}.")
        return self.forms[name]

    def outside(self, parts: Sequence[str]) -> tuple[str, ...]:
        """Return patterns of the modules that are in none of ``parts``, which are names of `scopes`.

        Raises:
            UsageError: the architecture has no such part.
        """
        for part in parts:
            if part not in self.scopes:
                known = ", ".join(["uniform", "global", *self.scopes])
                raise UsageError(f"{self.name} has no scope {part!r}", f"its scopes are {known}.")
        return tuple(pattern for part in parts for pattern in self.scopes[part])
