"""Which precision an engine really computes in, read from TensorRT's engine inspector.

A requested precision proves nothing: a tool that guarded its FP16 flag with ``hasattr`` builds FP32 engines
under TensorRT 11 and reports success. The inspector lists the layers after fusion with the type of every
tensor.

A layer counts with the type of the first floating-point or quantised tensor that it *reads*, because that
is what its kernel multiplies: a quantising copy reads FP32 and counts as FP32, an INT8 convolution with
FP32 output counts as INT8. Layers that read none count with what they write. So Q/DQ nodes that did not
fuse cannot pass as INT8.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from compressor.base.errors import CompressError

PRECISIONS: Final = ("fp32", "fp16", "int8")
"""What can be asked for; the graph must have been converted to it before."""

# From the most to the least specific: "bfloat16" contains "float", "uint8" contains "int8".
_PATTERNS: Final = (
    ("fp4", r"fp4|e2m1"),
    ("fp8", r"fp8|float8|e4m3"),
    ("bf16", r"bf16|bfloat16"),
    ("fp16", r"fp16|float16|half"),
    ("uint8", r"uint8"),
    ("int4", r"int4"),
    ("int8", r"int8"),
    ("int32", r"int32"),
    ("int64", r"int64"),
    ("bool", r"bool"),
    ("fp32", r"fp32|float"),
)
_UNKNOWN: Final = "unknown"
_SHAPE_TYPES: Final = frozenset({"int32", "int64", "bool", "uint8"})
# TensorRT 11 has the type by itself; 10 has "Format/Datatype" with words around it.
_TYPE_KEYS: Final = ("datatype", "format/datatype", "format")


def precision_share(inspector_json: str) -> dict[str, float]:
    """Return the share of layers per datatype, largest first; the shares add up to 1.

    Args:
        inspector_json: what ``get_engine_information`` returns for an engine built with detailed verbosity,
            by TensorRT 10 or 11. Layers whose type it does not tell count as ``unknown``.

    Raises:
        CompressError: the text is not such a document, or lists no layer.
    """
    layers = layers_of(inspector_json)
    counted = Counter(layer_type(layer) for layer in layers)
    return {name: count / len(layers) for name, count in counted.most_common()}


def achieved_share(share: Mapping[str, float], precision: str) -> float:
    """Return how much of the arithmetic has ``precision``, 0..1; layers that compute shapes do not count."""
    arithmetic = sum(part for name, part in share.items() if name not in _SHAPE_TYPES)
    return share.get(precision, 0.0) / arithmetic if arithmetic else 0.0


def require_precision(share: Mapping[str, float], precision: str, least: float) -> None:
    """Refuse an engine that computes in another precision than was asked for.

    Args:
        share: of `precision_share`.
        precision: one of `PRECISIONS`.
        least: smallest share of the layers that must have it, 0..1.

    Raises:
        CompressError: it falls short; all shares are named.
    """
    achieved = achieved_share(share, precision)
    if achieved < least:
        listed = ", ".join(f"{name} {part:.0%}" for name, part in share.items())
        raise CompressError(
            f"{precision} was asked for, but only {achieved:.0%} of the engine's layers compute in it"
            f" ({listed})",
            f"precision lies in the graph: convert the ONNX file to {precision} first (compress export"
            f" --precision {precision}), or ask for the precision that it has",
        )


def layers_of(text: str) -> list[Any]:
    """Return the layers that the inspector's answer lists.

    Raises:
        CompressError: the text is no such document, or lists no layer.
    """
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise _unreadable(f"is no JSON ({error})") from error
    layers = document.get("Layers") if isinstance(document, dict) else document
    if not isinstance(layers, list) or not layers:
        raise _unreadable("lists no layers")
    return layers


def layer_type(layer: object) -> str:
    """Return the type that a layer computes in, ``unknown`` where nothing tells."""
    if not isinstance(layer, dict):  # only the name, where the engine was built without detailed verbosity
        return _UNKNOWN
    types = [_tensor_type(t) for key in ("Inputs", "Outputs") for t in layer.get(key) or ()]
    arithmetic = [name for name in types if name not in _SHAPE_TYPES and name != _UNKNOWN]
    return next(iter(arithmetic or types), _UNKNOWN)


def _tensor_type(tensor: object) -> str:
    if not isinstance(tensor, dict):
        return _UNKNOWN
    fields = {str(key).lower(): str(value).lower() for key, value in tensor.items()}
    for text in (fields[key] for key in _TYPE_KEYS if key in fields):
        for name, pattern in _PATTERNS:
            if re.search(pattern, text):
                return name
    return _UNKNOWN


def _unreadable(what: str) -> CompressError:
    return CompressError(
        f"the engine inspector's answer {what}",
        "build the engine with detailed profiling verbosity, or report the TensorRT version that did it",
    )
