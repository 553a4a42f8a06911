"""What is decided for one group.

A *rate* is the share of units that is removed; *keep* lists what survives.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupDecision:
    """What the plan does to one group: requested and achieved side by side.

    Attributes:
        name: the group's name.
        size: units before.
        requested: units that the rate alone would keep.
        kept: units that are kept after rounding and protection.
        reason: why ``kept`` differs from ``requested``, or why the group is whole; may be empty.
    """

    name: str
    size: int
    requested: int
    kept: int
    reason: str = ""
