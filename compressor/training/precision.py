"""Mixed precision, where the device has it (Micikevicius et al., Mixed Precision Training, 2018).

On GPUs with native bfloat16 (compute capability 8.0 and up) that is used, for its range needs no loss
scaling. Older ones, such as the T4, compute in float16 with a scaled loss.
"""

import logging
from dataclasses import dataclass

import torch

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class MixedPrecision:
    """How forward and backward passes compute.

    Attributes:
        device: kind of device, as ``torch.autocast`` names it.
        dtype: type of the fast operations; None computes everything in float32.
        scaler: scales the loss for float16; passes everything through for the others.
    """

    device: str
    dtype: torch.dtype | None
    scaler: torch.amp.GradScaler

    def autocast(self) -> torch.autocast:
        """Return a context for the forward pass."""
        return torch.autocast(self.device, dtype=self.dtype, enabled=self.dtype is not None)


def precision_for(device: torch.device, *, amp: bool) -> MixedPrecision:
    """Return mixed precision if ``amp`` asks for it and ``device`` has it; if not, says so in the log."""
    dtype = _fast_dtype(device) if amp else None
    if amp and dtype is None:
        _LOG.warning("mixed precision was asked for, but %s has none here: training in float32", device.type)
    scaler = torch.amp.GradScaler(device.type, enabled=dtype is torch.float16)
    return MixedPrecision(device=device.type, dtype=dtype, scaler=scaler)


def _fast_dtype(device: torch.device) -> torch.dtype | None:
    if device.type != "cuda":
        return None
    native = torch.cuda.get_device_capability(device) >= (8, 0)
    return torch.bfloat16 if native else torch.float16
