"""From what the user asks to how many units each group keeps.

What is asked is plain data, and importing it is cheap; ``allocate`` resolves it against a traced model.
"""

from compressor.rates.request import PruneRequest, Scope
from compressor.rates.strings import parse_rates
from compressor.rates.targets import Budget, Published, Share, Target, budget_of

__all__ = ["Budget", "PruneRequest", "Published", "Scope", "Share", "Target", "budget_of", "parse_rates"]
