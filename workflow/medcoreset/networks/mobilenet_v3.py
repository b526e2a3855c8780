"""MobileNetV3, large and small (Howard et al., ICCV 2019), torchvision's."""

from torch import nn
from torchvision import models

SMALL = 128  # pixels; below, a stem of stride 2 would leave less than 4×4 at the end


def mobilenet_v3(*, channels: int, image_size: int, size: str) -> tuple[nn.Module, int]:
    """Return the body of MobileNetV3 and the size of its features, 1280 (large) or 1024 (small).

    Below 128 pixels the stem has stride 1.
    """
    network = {"large": models.mobilenet_v3_large, "small": models.mobilenet_v3_small}[size]()
    stem = network.features[0][0]
    stride = 1 if image_size < SMALL else 2
    network.features[0][0] = nn.Conv2d(
        channels, stem.out_channels, 3, stride, padding=1, bias=False
    )
    feature_size = network.classifier[-1].in_features
    network.classifier[-1] = nn.Identity()
    for module in network.modules():
        # torchvision draws other weights; all networks here have PyTorch's default initialisation.
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
    return network, feature_size
