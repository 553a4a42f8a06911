"""What the user asks for, before it is resolved against a channel graph."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, get_args

from compressor.rates.targets import Published, Target

if TYPE_CHECKING:
    from compressor.rates.prices import Price

Scope = Literal["global", "uniform", "worth"]
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneRequest:
    """How much to remove, and from where.

    Attributes:
        target: what the cut aims at.
        scope: ``uniform`` removes the same share everywhere, ``global`` ranks all units together, ``worth``
            keeps the most importance that a budget buys; a published string says itself what it removes
            where.
        round_to: widths become multiples of this.
        protect: glob patterns of modules whose groups stay whole.
        own_rates: (glob pattern, rate) of modules whose groups lose this share, whatever the target asks of
            the others; of several that match a group, the last counts.
        max_rate: no group loses more than this share under a budget or a global ranking.
        allow_inexact: also prune groups whose removal changes what survives.
        waiting: names of groups that stay whole for now.
        measured: the price that a budget is in, where it is in no registry: a table that was measured.
    """

    target: Target
    scope: Scope = "uniform"
    round_to: int = 1
    protect: tuple[str, ...] = ()
    own_rates: tuple[tuple[str, float], ...] = ()
    max_rate: float = 0.9
    allow_inexact: bool = False
    waiting: tuple[str, ...] = ()
    measured: "Price | None" = None

    def describe(self) -> str:
        """Return target, scope and rounding in words, as a manifest notes them."""
        spread = "" if isinstance(self.target, Published) else f" {self.scope}"
        rounded = f", widths in multiples of {self.round_to}" if self.round_to > 1 else ""
        return f"{self.target.describe()}{spread}{rounded}"
