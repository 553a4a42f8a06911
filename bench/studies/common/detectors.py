"""The detector that several studies measure: its canvases and the published request."""

from typing import Final

from compressor.rates import PruneRequest, Published
from compressor.zoo import find

FASTER: Final = "fasterrcnn_resnet50_fpn"
PUBLISHED: Final = "[0.]+[0.1]*3+[0.35]*16"
SIZES: Final = {"480x640": (3, 480, 640), "800x1333": (3, 800, 1344)}
"""Canvases; 1333 columns are padded to 1344, as torchvision pads them."""


def backbone(round_to: int) -> PruneRequest:
    """Return the published request."""
    scope = find(FASTER).scopes["backbone"]
    return PruneRequest(target=Published(PUBLISHED), round_to=round_to, protect=scope)
