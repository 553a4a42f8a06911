"""Detectors with random weights that nevertheless find many objects of many classes.

A freshly initialised detector finds nothing, or the same everywhere: activations explode or vanish through
frozen batch norms without statistics, and logits hardly vary. So norms get the statistics of what reaches
them, and logits are stretched to a spread at which some pass the thresholds.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
import torchvision
from torch import Tensor, nn
from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN
from torchvision.ops import FrozenBatchNorm2d

NAMES = (
    "fasterrcnn_resnet50_fpn",
    "fasterrcnn_resnet50_fpn_v2",
    "fasterrcnn_mobilenet_v3_large_fpn",
    "maskrcnn_resnet50_fpn",
    "maskrcnn_resnet50_fpn_v2",
    "keypointrcnn_resnet50_fpn",
)

DETECTIONS = {  # the heads that follow are slow
    "maskrcnn_resnet50_fpn": {"box_detections_per_img": 20},
    "maskrcnn_resnet50_fpn_v2": {"box_detections_per_img": 20},
    "keypointrcnn_resnet50_fpn": {"box_detections_per_img": 10},
}


def structured_images(batch: int, height: int, width: int, seed: int = 0) -> Tensor:
    """Return (batch, 3, height, width) in 0..1: gradients, rectangles, stripes and a little noise."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.linspace(0, 1, height)[:, None].expand(height, width)
    columns = torch.linspace(0, 1, width)[None].expand(height, width)
    images = []
    for _ in range(batch):
        a, b, c = torch.rand(3, 3, generator=generator)
        image = a[:, None, None] * rows + b[:, None, None] * columns
        image = image + 0.2 * torch.sin(40 * (c[:, None, None] * rows + a[:, None, None] * columns))
        for _ in range(12):
            y, x = torch.rand(2, generator=generator)
            h, w = 0.05 + 0.4 * torch.rand(2, generator=generator)
            inside = (rows > y) & (rows < y + h) & (columns > x) & (columns < x + w)
            image = torch.where(inside, torch.rand(3, 1, 1, generator=generator), image)
        images.append(image + 0.05 * torch.randn(3, height, width, generator=generator))
    return torch.stack(images).clamp(0, 1)


def lively(name: str, *, seed: int = 0, **settings: object) -> GeneralizedRCNN:
    """Return the torchvision detector ``name`` with random weights, in evaluation mode."""
    torch.manual_seed(seed)
    small = {"min_size": 128, "max_size": 160, "rpn_post_nms_top_n_test": 100} | DETECTIONS.get(name, {})
    build = getattr(torchvision.models.detection, name)
    return enlivened(build(weights=None, weights_backbone=None, **small | settings).eval())


def enlivened(
    detector: GeneralizedRCNN, *, images: Sequence[Tensor] = (), surest: float = 8.0
) -> GeneralizedRCNN:
    """Make a detector find objects, in place.

    Args:
        detector: with random weights.
        images: like those that it will see, (3, height, width) in 0..1; on others, logits may run so high
            that sigmoids are 1 and scores tie. Without any, `structured_images`.
        surest: largest class logit on these images.
    """
    images = list(images) or list(structured_images(3, 128, 160, seed=99))
    with _standardised_inputs(detector, (FrozenBatchNorm2d, nn.BatchNorm2d)):
        detector(images)
    heads = detector.roi_heads
    _rescale(detector, images, {detector.rpn.head.cls_logits: 6.0, detector.rpn.head.bbox_pred: 1.0})
    _rescale(detector, images, {heads.box_predictor.cls_score: surest, heads.box_predictor.bbox_pred: 3.0})
    if heads.has_keypoint():
        _rescale(detector, images, {heads.keypoint_predictor.kps_score_lowres: 6.0})
    if heads.has_mask():
        with _standardised_inputs(heads.mask_head, (nn.BatchNorm2d,)):
            detector(images)
        _rescale(detector, images, {heads.mask_predictor[-1]: 6.0})
    return detector


@contextmanager
def _standardised_inputs(detector: nn.Module, kinds: tuple[type, ...]) -> Iterator[None]:
    """Give every norm the mean and variance of what it sees."""

    def measure(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if inputs[0].numel() == 0:  # a mask head, as long as nothing is detected
            return
        values = inputs[0].transpose(0, 1).flatten(1)
        norm.get_buffer("running_mean").copy_(values.mean(dim=1))
        spread = values.var(dim=1, correction=0)
        floor = 0.1 * spread.mean() + 1e-5  # silent channels must stay quiet
        norm.get_buffer("running_var").copy_(spread + floor)

    handles = [m.register_forward_pre_hook(measure) for m in detector.modules() if isinstance(m, kinds)]
    with torch.no_grad():
        yield
    for handle in handles:
        handle.remove()


def _rescale(detector: nn.Module, images: list[Tensor], peaks: Mapping[nn.Module, float]) -> None:
    """Centre every output channel of convolutions and linear layers, and make its largest value the peak."""
    seen: dict[nn.Module, list[Tensor]] = {layer: [] for layer in peaks}

    def collect(layer: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        seen[layer].append(output.transpose(0, 1).flatten(1))

    handles = [layer.register_forward_hook(collect) for layer in peaks]
    with torch.no_grad():
        detector(images)
        for handle, (layer, peak) in zip(handles, peaks.items(), strict=True):
            handle.remove()
            values = torch.cat(seen[layer], dim=1)
            mean = values.mean(dim=1)
            scale = peak / ((values - mean[:, None]).abs().amax(dim=1) + 1e-6)
            shape = [1] * layer.get_parameter("weight").dim()
            shape[isinstance(layer, nn.ConvTranspose2d)] = -1  # the output axis of its weights is the second
            weight, bias = layer.get_parameter("weight"), layer.get_parameter("bias")
            weight.mul_(scale.view(shape))
            bias.copy_((bias - mean) * scale)
