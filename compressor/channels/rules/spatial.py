"""Pooling, resizing, padding and sampling: positions change, channels stay."""

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from compressor.channels.ledger import NONE
from compressor.channels.rules import Call, first_output, rule
from compressor.channels.shadow import Factor, align, compact, varying

if TYPE_CHECKING:
    from compressor.channels.tracer import Tracer


def _keep_channels(tracer: "Tracer", call: Call, spatial: int) -> None:
    """Hand on factors that are uniform over the last ``spatial`` axes; the others must stay."""
    x, out = call.args[0], first_output(call)
    shadow = tracer.shadow(x)
    kept: list[Factor] = []
    for factor in shadow.factors if shadow else ():
        if any(axis >= x.ndim - spatial for axis in varying(factor)):
            tracer.freeze(factor, f"moved by {call.name}")
        else:
            kept.append(factor)
    tracer.put(out, kept)


@rule("aten.avg_pool1d", "aten.max_pool1d", "aten.adaptive_avg_pool1d", "aten.upsample_linear1d",
      "aten.upsample_nearest1d", "aten.reflection_pad1d", "aten.replication_pad1d")  # fmt: skip
def over_length(tracer: "Tracer", call: Call) -> None:
    """Operations over the last axis."""
    _keep_channels(tracer, call, 1)


@rule("aten.max_pool2d_with_indices", "aten.max_pool2d", "aten.avg_pool2d", "aten._adaptive_avg_pool2d",
      "aten.adaptive_avg_pool2d", "aten.adaptive_max_pool2d", "aten.fractional_max_pool2d",
      "aten.upsample_nearest2d", "aten.upsample_bilinear2d", "aten.upsample_bicubic2d",
      "aten._upsample_nearest_exact2d", "aten._upsample_bilinear2d_aa", "aten._upsample_bicubic2d_aa",
      "aten.reflection_pad2d", "aten.replication_pad2d", "aten.grid_sampler_2d", "aten.max_unpool2d",
      "aten.mkldnn_max_pool2d")  # fmt: skip
def over_image(tracer: "Tracer", call: Call) -> None:
    """Operations over the last two axes."""
    _keep_channels(tracer, call, 2)


@rule("aten.max_pool3d_with_indices", "aten.avg_pool3d", "aten._adaptive_avg_pool3d",
      "aten.upsample_nearest3d", "aten.upsample_trilinear3d", "aten.reflection_pad3d",
      "aten.replication_pad3d")  # fmt: skip
def over_volume(tracer: "Tracer", call: Call) -> None:
    """Operations over the last three axes."""
    _keep_channels(tracer, call, 3)


@rule("aten.constant_pad_nd")
def constant_pad(tracer: "Tracer", call: Call) -> None:
    """Padding along a channel axis adds positions that belong to no channel."""
    x, amounts = call.args[0], list(call.args[1])
    shadow = tracer.shadow(x)
    kept = []
    for factor in shadow.factors if shadow else ():
        mine = [0] * len(amounts)
        for axis in varying(factor):
            at = 2 * (x.ndim - 1 - axis)
            mine[at : at + 2] = amounts[at : at + 2]
        kept.append(F.pad(factor, mine, value=NONE) if any(mine) else factor)
    tracer.put(call.out, kept)


@rule("aten.pixel_shuffle")
def pixel_shuffle(tracer: "Tracer", call: Call) -> None:
    """Each output channel is made of r*r input channels: they are one unit."""
    x, ratio = call.args[0], int(call.args[1]) ** 2
    shadow = tracer.shadow(x)
    kept = []
    for factor in shadow.along(x.ndim - 3) if shadow else []:
        blocks = factor.reshape(-1, ratio)
        tracer.unite(blocks, blocks[:, :1])
        kept.append(blocks[:, 0].reshape(-1, 1, 1))
    tracer.put(call.out, [align(f, x.ndim) for f in kept])


@rule("aten.pixel_unshuffle")
def pixel_unshuffle(tracer: "Tracer", call: Call) -> None:
    """Each input channel becomes r*r output channels that go with it."""
    x, ratio = call.args[0], int(call.args[1]) ** 2
    shadow = tracer.shadow(x)
    kept = [f.repeat_interleave(ratio, dim=x.ndim - 3) for f in (shadow.along(x.ndim - 3) if shadow else [])]
    tracer.put(call.out, kept)


@rule("aten.channel_shuffle", "aten.native_channel_shuffle")
def channel_shuffle(tracer: "Tracer", call: Call) -> None:
    """Groups are interleaved, so that all must lose the same positions."""
    x, groups = call.args[0], int(call.args[1])
    shadow = tracer.shadow(x)
    kept = []
    for factor in shadow.along(1) if shadow else []:
        blocks = factor.reshape(groups, -1)
        tracer.unite(blocks, blocks[:1])
        kept.append(blocks.t().reshape(factor.shape))
    tracer.put(call.out, kept)


@rule("torchvision.roi_align", "torchvision.roi_pool")
def roi(tracer: "Tracer", call: Call) -> None:
    """Regions are cut out of feature maps: (images, C, H, W) to (regions, C, h, w)."""
    shadow = tracer.shadow(call.args[0])
    tracer.put(first_output(call), shadow.along(1) if shadow else [])


@rule("aten.roll", "aten.flip")
def rearrange(tracer: "Tracer", call: Call) -> None:
    """Moving positions along a channel axis by a fixed amount keeps that axis whole."""
    x, axes = call.args[0], [int(a) % call.args[0].ndim for a in call.args[-1]]
    shadow = tracer.shadow(x)
    kept = []
    for factor in shadow.factors if shadow else ():
        if varying(factor) & set(axes):
            tracer.freeze(factor, f"moved by {call.name}")
        kept.append(compact(_executed(call, x, factor)))
    tracer.put(call.out, kept)


def _executed(call: Call, x: Tensor, factor: Factor) -> Factor:
    moved: Tensor = call.func(factor.expand(x.shape), *call.args[1:], **call.kwargs)
    assert isinstance(moved, torch.Tensor)
    return moved
