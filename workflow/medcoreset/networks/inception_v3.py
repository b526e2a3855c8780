"""Inception-v3 (Szegedy et al., CVPR 2016), torchvision's, without the auxiliary classifier."""

from functools import partial
from typing import Any

from torch import nn
from torchvision.models import inception

SMALL = 75  # pixels; the smallest image that the published stem takes
PUBLISHED = 32  # channels of the published first layer
COLOURS = 3


def inception_v3(*, channels: int, image_size: int, width: int) -> tuple[nn.Module, int]:
    """Return the body of Inception-v3 and the size of its features, 64 · `width` (2048).

    The published stem reduces the image eightfold. Below 75 pixels its strides are 1, its first
    two convolutions are padded and its max-pools are left out; 32 pixels become 30×30. `width` is
    even.
    """

    def layer(inputs: int, outputs: int, **settings: Any) -> inception.BasicConv2d:
        if inputs != COLOURS:
            inputs = inputs * width // PUBLISHED
        return inception.BasicConv2d(inputs, outputs * width // PUBLISHED, **settings)

    modules = [getattr(inception, f"Inception{kind}") for kind in "ABCDE"]
    blocks = [layer, *(partial(module, conv_block=layer) for module in modules), None]
    network = inception.Inception3(aux_logits=False, init_weights=False, inception_blocks=blocks)
    if image_size < SMALL:
        network.Conv2d_1a_3x3 = inception.BasicConv2d(channels, width, kernel_size=3, padding=1)
        network.Conv2d_2a_3x3 = inception.BasicConv2d(width, width, kernel_size=3, padding=1)
        network.maxpool1 = nn.Identity()
        network.maxpool2 = nn.Identity()
    elif channels != COLOURS:
        network.Conv2d_1a_3x3 = inception.BasicConv2d(channels, width, kernel_size=3, stride=2)
    network.fc = nn.Identity()
    return network, 64 * width
