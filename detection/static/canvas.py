"""The first step of an exported detector: images on their canvas, as torchvision's normalise and pad them."""

import torch
from torch import Tensor, nn
from torchvision.models.detection.transform import GeneralizedRCNNTransform


class NormalisedCanvas(nn.Module):
    """Normalise images in 0..1, and blank what is not image: torchvision pads after normalising.

    Args:
        transform: torchvision's, with mean and standard deviation.
        device: of the constants.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, transform: GeneralizedRCNNTransform, device: torch.device) -> None:
        super().__init__()
        for name, values in (("mean", transform.image_mean), ("std", transform.image_std)):
            constant = torch.tensor(values, device=device).view(-1, 1, 1)
            self.register_buffer(name, constant, persistent=False)

    def forward(self, images: Tensor, sizes: Tensor) -> Tensor:
        """Return (B, 3, H, W) from images of the same shape and their ``sizes`` (B, 2) within it."""
        rows = torch.arange(images.shape[-2], device=images.device) < sizes[:, :1]
        columns = torch.arange(images.shape[-1], device=images.device) < sizes[:, 1:]
        image = rows[:, None, :, None] & columns[:, None, None, :]
        # Not a product with the mask: around the image there may be anything, and nan * 0 is nan.
        return torch.where(image, (images - self.mean) / self.std, 0.0)
