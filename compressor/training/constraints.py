"""What acts between the gradients and the step: how a method trains filters into the shape that it cuts.

The loop is one; a method that trains before it cuts hands it a `Constraint`. Examples are centripetal SGD,
which replaces the gradients G of filters F by A G + B F (Ding et al., Centripetal SGD for Pruning Very Deep
Convolutional Networks, 2019), a penalty on filter skeletons, and a mask that keeps weights zero.

In every step the loop calls, in this order::

    backward passes of all micro-batches; gradients are all-reduced over the workers
    before_step(model, lr)      gradients are complete, and of the loss itself: mixed precision unscaled them
    the optimiser's step
    after_step(model)
    the averaged weights follow

Both hooks run without autograd, on every worker alike: what they do must depend on nothing but the model. The
averaged weights start as a copy of the model, so that they are constrained where the model came so.
"""

from typing import Any, Final, Protocol, TypeAlias

from torch import nn

from compressor.base.documents import Json

ParameterGroup: TypeAlias = dict[str, Any]
"""``params``, and what is to differ from the recipe for them, as optimisers of ``torch.optim`` take it."""


class Constraint(Protocol):
    """What training must respect, on top of the recipe."""

    def parameters(self, model: nn.Module) -> list[ParameterGroup]:
        """Return what is trained.

        A group may set its own ``weight_decay``, ``momentum`` or ``nesterov``; the learning rate is the
        schedule's in all of them.
        """

    def before_step(self, model: nn.Module, lr: float) -> None:
        """Change the gradients, in place.

        Args:
            model: with the gradients of the whole batch; None where a parameter got none. In half precision
                they may be infinite, and then the optimiser leaves the step out.
            lr: learning rate of the step.
        """

    def after_step(self, model: nn.Module) -> None:
        """Change the weights, in place."""

    def fulfil(self, model: nn.Module) -> None:
        """Change the weights at once, in place, to what training would reach as far as this goes.

        That is how a cut is rehearsed without the training: the right widths, useless weights.
        """

    def identity(self) -> Json:
        """Return what makes this constraint another one; a checkpoint of another is not resumed."""

    def measure(self, model: nn.Module) -> dict[str, float]:
        """Return how far training has come, by name, for the log: for instance how close filters are."""


class Free:
    """No constraint: every parameter that requires gradients is trained by the recipe alone."""

    def parameters(self, model: nn.Module) -> list[ParameterGroup]:
        """Return one group of everything that requires gradients."""
        return [{"params": [parameter for parameter in model.parameters() if parameter.requires_grad]}]

    def before_step(self, model: nn.Module, lr: float) -> None:
        """Leave the gradients alone."""

    def after_step(self, model: nn.Module) -> None:
        """Leave the weights alone."""

    def fulfil(self, model: nn.Module) -> None:
        """Leave the weights alone."""

    def identity(self) -> Json:
        """Return nothing."""
        return {}

    def measure(self, model: nn.Module) -> dict[str, float]:
        """Return nothing."""
        return {}


FREE: Final = Free()
