"""Fewer bits inside the file: half precision and 8-bit integers, written into the graph itself.

Runtimes agree on graphs whose types are explicit and disagree on flags, which TensorRT 11 no longer has. So
precision is decided here, counted in the file that results, and judged by parity or by accuracy on data.
"""

from export.precision.auto import AutoReport, int8_auto
from export.precision.fp16 import to_fp16
from export.precision.int8 import Int8Settings, to_int8
from export.precision.share import Lowered, PrecisionReport, precision_report

__all__ = [
    "AutoReport",
    "Int8Settings",
    "Lowered",
    "PrecisionReport",
    "int8_auto",
    "precision_report",
    "to_fp16",
    "to_int8",
]
