"""Box arithmetic on batches. Boxes are (..., 4): left, top, right, bottom, in pixels of the canvas."""

import torch
from torch import Tensor
from torchvision.models.detection._utils import BoxCoder


def decode(coder: BoxCoder, codes: Tensor, anchors: Tensor) -> Tensor:
    """Apply regression codes (..., 4) to anchors (..., 4), as torchvision's ``BoxCoder.decode_single``.

    With an anchor's centre c and size s: c' = c + code * s, s' = s * exp(code). The coder is asked for its
    weights and its limit only, since its own method takes flat tensors.
    """
    wx, wy, ww, wh = coder.weights
    scale = codes.new_tensor([wx, wy, ww, wh])
    size = anchors[..., 2:] - anchors[..., :2]
    centre = anchors[..., :2] + 0.5 * size
    codes = codes / scale
    centre = codes[..., :2] * size + centre
    half = 0.5 * (torch.exp(codes[..., 2:].clamp(max=coder.bbox_xform_clip)) * size)
    return torch.cat([centre - half, centre + half], dim=-1)


def clip(boxes: Tensor, sizes: Tensor) -> Tensor:
    """Clip boxes (B, N, 4) to images of ``sizes`` (B, 2), rows and columns."""
    limit = sizes.flip(1).repeat(1, 2)[:, None]
    return torch.minimum(boxes.clamp(min=0), limit)


def at_least(boxes: Tensor, side: float) -> Tensor:
    """Return (...,) bool: both sides reach ``side`` pixels."""
    sizes = boxes[..., 2:] - boxes[..., :2]
    return (sizes >= side).all(dim=-1)


def take(rows: Tensor, index: Tensor) -> Tensor:
    """Return rows (B, N, C) at index (B, K): (B, K, C)."""
    return rows.gather(1, index[..., None].expand(-1, -1, rows.shape[-1]))


def inverse(order: Tensor) -> Tensor:
    """Return the index (B, N) that undoes ``take`` with a permutation ``order`` (B, N)."""
    return best(-order.to(torch.float32), order.shape[1])[1]


def best(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the ``count`` largest scores (B, K) of (B, N) and where they were, equal ones in their order.

    Boxes within one cell pool the same features, so equal scores do happen. ONNX's TopK keeps their order;
    that of PyTorch does not, but its stable sort does.
    """
    if torch.onnx.is_in_onnx_export():
        top, index = scores.topk(count)
        return top, index
    values, index = scores.sort(dim=1, descending=True, stable=True)
    return values[:, :count], index[:, :count]
