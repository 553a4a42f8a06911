"""The static graph of detectors against torchvision."""
