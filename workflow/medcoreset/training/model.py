"""A network as it is trained: on its device, in its arithmetic."""

import torch
from torch import nn

from medcoreset.networks.classifier import Classifier, layout_of
from medcoreset.training.convolution import speed_up


class Model(nn.Module):
    """A network whose body computes in `arithmetic`, and whose head always in float32.

    Logits in bfloat16 would have three significant digits: too few for the late epochs' dynamics,
    where the variance of a sample's error is small.
    """

    def __init__(self, network: Classifier, device: torch.device, arithmetic: torch.dtype) -> None:
        super().__init__()
        self.network = network
        self.arithmetic = arithmetic
        self.to(device).to(memory_format=layout_of(network))
        speed_up(network, device, arithmetic)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the features (B, D) and logits (B, classes) of images (B, channels[, D], H, W)."""
        lowered = self.arithmetic != torch.float32
        with torch.autocast(images.device.type, self.arithmetic, enabled=lowered):
            features = self.network.features(images)
        features = features.to(self.network.head.weight.dtype)
        return features, self.network.head(features)
