"""Means over images, while they come."""

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from torch import Tensor

K = TypeVar("K", bound=Hashable)


@dataclass(slots=True)
class Means(Generic[K]):
    """Running means in float64, by name; what was averaged is not kept."""

    _totals: dict[K, Tensor] = field(default_factory=dict)
    _images: dict[K, int] = field(default_factory=dict)

    def add(self, name: K, values: Tensor, images: int) -> None:
        """Add the mean over some images."""
        self._totals[name] = self._totals.get(name, 0) + values.double() * images
        self._images[name] = self._images.get(name, 0) + images

    def result(self) -> dict[K, Tensor]:
        """Return the means over all images so far."""
        return {name: total / self._images[name] for name, total in self._totals.items()}
