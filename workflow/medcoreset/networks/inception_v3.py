"""Inception-v3 (Szegedy et al., CVPR 2016), torchvision's, without the auxiliary classifier."""

from torch import nn
from torchvision.models.inception import BasicConv2d, Inception3

SMALL = 75  # pixels; the smallest image that the published stem takes


def inception_v3(*, channels: int, image_size: int) -> tuple[nn.Module, int]:
    """Return the body of Inception-v3 and the size of its features, 2048.

    The published stem reduces the image eightfold. Below 75 pixels its strides are 1, its first
    two convolutions are padded and its max-pools are left out; 32 pixels become 30×30.
    """
    network = Inception3(aux_logits=False, init_weights=False)
    if image_size < SMALL:
        network.Conv2d_1a_3x3 = BasicConv2d(channels, 32, kernel_size=3, padding=1)
        network.Conv2d_2a_3x3 = BasicConv2d(32, 32, kernel_size=3, padding=1)
        network.maxpool1 = nn.Identity()
        network.maxpool2 = nn.Identity()
    elif channels != 3:
        network.Conv2d_1a_3x3 = BasicConv2d(channels, 32, kernel_size=3, stride=2)
    feature_size = network.fc.in_features
    network.fc = nn.Identity()
    return network, feature_size
