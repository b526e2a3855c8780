"""The shape that every network has: a body that makes features, and a linear head."""

from torch import Tensor, nn


class Classifier(nn.Module):
    """A body from images (B, channels, H, W) to features (B, D), and a linear head to logits.

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
