"""From what the user asks to how many units each group keeps."""

from compressor.rates.allocate import Allocation, allocate
from compressor.rates.layout import Layout, TableLayout
from compressor.rates.strings import parse_rates

__all__ = ["Allocation", "Layout", "TableLayout", "allocate", "parse_rates"]
