"""Pooling, resizing, padding and sampling: positions change, channels stay."""

import torch.nn.functional as F

from compressor.channels.call import Call
from compressor.channels.ledger import NONE
from compressor.channels.rules import rule
from compressor.channels.shadow import Factor, align, mapped, varying
from compressor.channels.tracer import Tracer


def _keep_channels(tracer: Tracer, call: Call, spatial: int) -> None:
    """Hand on factors that are uniform over the last ``spatial`` axes; the others must stay."""
    x = call.subject
    kept: list[Factor] = []
    for factor in tracer.shadow(x).factors:
        if any(axis >= x.ndim - spatial for axis in varying(factor)):
            tracer.freeze(factor, f"moved by {call.name}")
        else:
            kept.append(factor)
    tracer.put(call.first_output, kept)


@rule("aten.avg_pool1d", "aten.max_pool1d", "aten.adaptive_avg_pool1d", "aten.upsample_linear1d",
      "aten.upsample_nearest1d", "aten.reflection_pad1d", "aten.replication_pad1d")  # fmt: skip
def over_length(tracer: Tracer, call: Call) -> None:
    """Operations over the last axis."""
    _keep_channels(tracer, call, 1)


@rule("aten.max_pool2d_with_indices", "aten.max_pool2d", "aten.avg_pool2d", "aten._adaptive_avg_pool2d",
      "aten.adaptive_avg_pool2d", "aten.adaptive_max_pool2d", "aten.fractional_max_pool2d",
      "aten.upsample_nearest2d", "aten.upsample_bilinear2d", "aten.upsample_bicubic2d",
      "aten._upsample_nearest_exact2d", "aten._upsample_bilinear2d_aa", "aten._upsample_bicubic2d_aa",
      "aten.reflection_pad2d", "aten.replication_pad2d", "aten.grid_sampler_2d", "aten.max_unpool2d",
      "aten.mkldnn_max_pool2d")  # fmt: skip
def over_image(tracer: Tracer, call: Call) -> None:
    """Operations over the last two axes."""
    _keep_channels(tracer, call, 2)


@rule("aten.max_pool3d_with_indices", "aten.avg_pool3d", "aten._adaptive_avg_pool3d",
      "aten.upsample_nearest3d", "aten.upsample_trilinear3d", "aten.reflection_pad3d",
      "aten.replication_pad3d")  # fmt: skip
def over_volume(tracer: Tracer, call: Call) -> None:
    """Operations over the last three axes."""
    _keep_channels(tracer, call, 3)


@rule("aten.constant_pad_nd")
def constant_pad(tracer: Tracer, call: Call) -> None:
    """Padding along a channel axis adds positions that belong to no channel."""
    x, amounts = call["self"], list(call["pad"])
    kept = []
    for factor in tracer.shadow(x).factors:
        mine = [0] * len(amounts)
        for axis in varying(factor):
            at = 2 * (x.ndim - 1 - axis)
            mine[at : at + 2] = amounts[at : at + 2]
        kept.append(F.pad(factor, mine, value=NONE) if any(mine) else factor)
    tracer.put(call.output, kept)


@rule("aten.pixel_shuffle")
def pixel_shuffle(tracer: Tracer, call: Call) -> None:
    """Each output channel is made of r*r input channels: they are one unit."""
    x, ratio = call["self"], int(call["upscale_factor"]) ** 2
    kept = []
    for factor in tracer.shadow(x).along(x.ndim - 3):
        blocks = factor.reshape(-1, ratio)
        tracer.unite(blocks, blocks[:, :1])
        kept.append(blocks[:, 0].reshape(-1, 1, 1))
    tracer.put(call.output, [align(f, x.ndim) for f in kept])


@rule("aten.pixel_unshuffle")
def pixel_unshuffle(tracer: Tracer, call: Call) -> None:
    """Each input channel becomes r*r output channels that go with it."""
    x, ratio = call["self"], int(call["downscale_factor"]) ** 2
    factors = tracer.shadow(x).along(x.ndim - 3)
    tracer.put(call.output, [f.repeat_interleave(ratio, dim=x.ndim - 3) for f in factors])


@rule("aten.channel_shuffle", "aten.native_channel_shuffle")
def channel_shuffle(tracer: Tracer, call: Call) -> None:
    """Groups are interleaved, so that all must lose the same positions."""
    kept = []
    for factor in tracer.shadow(call["self"]).along(1):
        blocks = factor.reshape(int(call["groups"]), -1)
        tracer.unite(blocks, blocks[:1])
        kept.append(blocks.t().reshape(factor.shape))
    tracer.put(call.output, kept)


@rule("torchvision.roi_align", "torchvision.roi_pool")
def roi(tracer: Tracer, call: Call) -> None:
    """Regions are cut out of feature maps: (images, C, H, W) to (regions, C, h, w)."""
    tracer.put(call.first_output, tracer.shadow(call["input"]).along(1))


@rule("aten.roll", "aten.flip")
def rearrange(tracer: Tracer, call: Call) -> None:
    """Moving positions along a channel axis by a fixed amount keeps that axis whole."""
    x = call["self"]
    axes = {int(axis) % x.ndim for axis in call["dims"] or range(x.ndim)}  # without axes, rolled as flattened
    kept = []
    for factor in tracer.shadow(x).factors:
        if varying(factor) & axes:
            tracer.freeze(factor, f"moved by {call.name}")
        kept.append(mapped(factor, x.shape, call.on))
    tracer.put(call.output, kept)
