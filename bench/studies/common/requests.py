"""How a request stands in result documents: one flat row, whatever its target."""

from dataclasses import asdict
from typing import Any

from compressor.rates import Budget, PruneRequest, Published, Share

DEFAULTS: dict[str, Any] = {"target": "rate", "rates": "", "layout": None, "fraction": 0.0}
"""What the fields of a target say where another kind of target is meant."""


def row_of(request: PruneRequest) -> dict[str, Any]:
    """Return the fields of a request, those of its target first."""
    others = {name: value for name, value in asdict(request).items() if name != "target"}
    return {**DEFAULTS, **_fields(request), **others}


def given(request: PruneRequest) -> dict[str, Any]:
    """Return the fields of a request that are not what they are by default."""
    plain = row_of(PruneRequest(target=Share(0.0)))
    return {name: value for name, value in row_of(request).items() if value != plain.get(name)}


def _fields(request: PruneRequest) -> dict[str, Any]:
    match request.target:
        case Published(text, layout):
            return {"target": "rates", "rates": text, "layout": layout}
        case Share(rate):
            return {"fraction": rate}
        case Budget(price, fraction, None):
            return {"target": price, "fraction": fraction}
        case Budget(price, _, absolute):
            return {"target": price, "absolute": absolute}
