"""AlexNet (Krizhevsky, 2014), torchvision's, with a stem of stride 1 for small images."""

from torch import nn
from torchvision import models

SMALL = 128  # pixels; below, the 11×11 stem of stride 4 would leave less than 6×6 at the end


def alexnet(*, channels: int, image_size: int) -> tuple[nn.Module, int]:
    """Return the body of AlexNet and the size of its features, 4096.

    Below 128 pixels the first convolution is 5×5 of stride 1. What the convolutions leave is
    average-pooled (or repeated) to 6×6, so no other layer depends on the image size.
    """
    network = models.AlexNet()
    if image_size < SMALL:
        network.features[0] = nn.Conv2d(channels, 64, 5, padding=2)
    elif channels != 3:
        network.features[0] = nn.Conv2d(channels, 64, 11, stride=4, padding=2)
    head = network.classifier[-1]
    layers = [*network.features, network.avgpool, nn.Flatten(), *network.classifier[:-1]]
    return nn.Sequential(*layers), head.in_features
