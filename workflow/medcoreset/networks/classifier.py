"""The shape that every network has: a body that makes features, and a linear head."""

import torch
from torch import Tensor, nn


def layout(dimensions: int) -> torch.memory_format:
    """Return the layout in memory of batches of images, with 2 dimensions, or of volumes, with 3.

    Images have their channels last, which is faster. Volumes do not: on CPUs, oneDNN's gradients of
    volumes with channels last are in float32 off by up to 0.2 % of their norm, and by 0.0002 % else.
    """
    return torch.contiguous_format if dimensions == 3 else torch.channels_last


def layout_of(network: nn.Module) -> torch.memory_format:
    """Return the layout in memory that a network's convolutions are to have."""
    return layout(3 if any(each.ndim == 5 for each in network.parameters()) else 2)


class Classifier(nn.Module):
    """A body from images (B, channels[, D], H, W) to features (B, D), and a linear head to logits.

    Methods on features and last-layer gradients rely on `forward(x) == head(features(x))`.
    """

    def __init__(self, body: nn.Module, feature_size: int, classes: int) -> None:
        super().__init__()
        self.body = body
        self.head = nn.Linear(feature_size, classes)

    def features(self, images: Tensor) -> Tensor:
        """Return the penultimate features (B, D)."""
        return self.body(images)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits (B, classes)."""
        return self.head(self.features(images))
