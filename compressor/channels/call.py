"""One executed operation, as rules see it: arguments by the names that its schema gives them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from torch import Tensor


@dataclass(frozen=True, slots=True)
class Signature:
    """What an operator is called and takes.

    Attributes:
        name: without the overload, for instance ``aten.convolution``.
        places: name of each argument -> its place.
        defaults: what an argument is where the caller leaves it out.
    """

    name: str
    places: Mapping[str, int]
    defaults: Mapping[str, Any]


@cache  # a trace meets few operators many times, and reading a schema is slow
def signature_of(func: Any) -> Signature:
    """Return the signature of an operator overload."""
    arguments = func._schema.arguments
    return Signature(
        name=func._schema.name.replace("::", "."),
        places={argument.name: place for place, argument in enumerate(arguments)},
        defaults={a.name: a.default_value for a in arguments if a.has_default_value()},
    )


@dataclass(frozen=True, slots=True)
class Call:
    """One executed operation: ``call["stride"]`` is an argument, given or by default.

    Attributes:
        func: the operator overload.
        positional: arguments as the caller gave them; rules take them by name instead.
        keyword: likewise.
        output: what it returned.
    """

    func: Any
    positional: tuple[Any, ...]
    keyword: Mapping[str, Any]
    output: Any

    @property
    def name(self) -> str:
        """Name without the overload, for instance ``aten.convolution``."""
        return signature_of(self.func).name

    def __contains__(self, argument: str) -> bool:
        """Say whether this overload has an argument of that name."""
        return argument in signature_of(self.func).places

    def __getitem__(self, argument: str) -> Any:
        """Return an argument by its name in the schema, wherever the caller put it.

        Raises:
            KeyError: this overload has none of that name, or it was not given and has no default.
        """
        signature = signature_of(self.func)
        place = signature.places[argument]
        if place < len(self.positional):
            return self.positional[place]
        return self.keyword[argument] if argument in self.keyword else signature.defaults[argument]

    def get(self, argument: str) -> Any:
        """Return an argument that only some overloads have, or None."""
        return self[argument] if argument in signature_of(self.func).places else None

    @property
    def subject(self) -> Any:
        """The argument that the operation is about: its first, which is called ``self`` or ``input``."""
        return self.positional[0] if self.positional else self[next(iter(signature_of(self.func).places))]

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """Tensors among the arguments, lists looked into, in the order of the schema."""
        return tuple(tensors_in((*self.positional, *self.keyword.values())))

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """Tensors among the results."""
        return tuple(tensors_in([self.output]))

    @property
    def first_output(self) -> Tensor:
        """The result, or the first of several."""
        return next(tensors_in([self.output]))

    def on(self, subject: Tensor) -> Any:
        """Execute the operation on another subject, with the other arguments as they were."""
        return self.func(subject, *self.positional[1:], **self.keyword)


def tensors_in(values: Iterable[object]) -> Iterator[Tensor]:
    """Yield the tensors among an operation's arguments, lists looked into."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from tensors_in(value)
