"""Groups of channels.

A *unit* is the smallest set of channels that lives or dies together; a *group* is a set of interchangeable
units.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelGroup:
    """Interchangeable units: removing unit u removes one position (or a fixed few) of every member axis.

    Attributes:
        name: module path of the first producer in execution order.
        size: number of units.
        producers: parameters whose output axis carries the units, in execution order.
        consumers: parameters whose input axis reads the units.
        members: every ``tensor:axis`` that shrinks with the group.
        frozen: why no unit may be removed, or None.
        inexact: why removing units changes what survives (for instance a norm over channels), or None.
    """

    name: str
    size: int
    producers: tuple[str, ...]
    consumers: tuple[str, ...]
    members: tuple[str, ...]
    frozen: str | None = None
    inexact: str | None = None
