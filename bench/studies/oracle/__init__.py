"""The oracle over torchvision."""
