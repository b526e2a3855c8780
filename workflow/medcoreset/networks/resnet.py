"""ResNet-18, -34 and -50 (He et al., CVPR 2016).

The default stem is the one for small images: a 3×3 convolution of stride 1 and no max-pool. The
stem `7x7` is that of the paper for ImageNet (stride 2, then a 3×3 max-pool of stride 2), and costs
1/16 of the work; it is the sensible choice for 224 pixels.

ResNet-18 also comes for volumes, with cubes for kernels: the network with plain 3-D convolutions that
MedMNIST's authors compare (Yang et al., Scientific Data 2023), at the stem for small images.
"""

from typing import NamedTuple

from torch import Tensor, nn
from torch.nn.functional import relu

Body = tuple[nn.Module, int]


class Layers(NamedTuple):
    """The layers that know how many dimensions an image has."""

    convolution: type[nn.Module]
    normalisation: type[nn.Module]
    pool: type[nn.Module]


IMAGES = Layers(nn.Conv2d, nn.BatchNorm2d, nn.AdaptiveAvgPool2d)
VOLUMES = Layers(nn.Conv3d, nn.BatchNorm3d, nn.AdaptiveAvgPool3d)


def resnet18(*, channels: int, image_size: int, width: int, stem: str) -> Body:
    """Return the body of ResNet-18 and the size of its features, 8 · `width`."""
    return _resnet(BasicBlock, (2, 2, 2, 2), channels, width, stem)


def resnet34(*, channels: int, image_size: int, width: int, stem: str) -> Body:
    """Return the body of ResNet-34 and the size of its features, 8 · `width`."""
    return _resnet(BasicBlock, (3, 4, 6, 3), channels, width, stem)


def resnet50(*, channels: int, image_size: int, width: int, stem: str) -> Body:
    """Return the body of ResNet-50 and the size of its features, 32 · `width`."""
    return _resnet(Bottleneck, (3, 4, 6, 3), channels, width, stem)


def resnet18_3d(*, channels: int, image_size: int, width: int) -> Body:
    """Return the body of ResNet-18 for volumes and the size of its features, 8 · `width`.

    The stem `7x7` is not to be had: its max-pool has no deterministic gradient on a GPU.
    """
    return _resnet(BasicBlock, (2, 2, 2, 2), channels, width, "3x3", VOLUMES)


class Residual(nn.Module):
    """relu(residual(x) + shortcut(x)), the shortcut a projection where the shape changes."""

    expansion: int

    def __init__(
        self, residual: nn.Module, inputs: int, outputs: int, stride: int, layers: Layers
    ) -> None:
        super().__init__()
        self.residual = residual
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                layers.convolution(inputs, outputs, 1, stride, bias=False),
                layers.normalisation(outputs),
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs[, D], H, W) to (B, expansion · width, …), every side over the stride."""
        return relu(self.residual(x) + self.shortcut(x))


class BasicBlock(Residual):
    """Two 3×3 convolutions and a shortcut."""

    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int, layers: Layers) -> None:
        residual = nn.Sequential(
            layers.convolution(inputs, width, 3, stride, padding=1, bias=False),
            layers.normalisation(width),
            nn.ReLU(),
            layers.convolution(width, width, 3, padding=1, bias=False),
            layers.normalisation(width),
        )
        super().__init__(residual, inputs, width, stride, layers)


class Bottleneck(Residual):
    """A 1×1, a 3×3 (which has the stride) and a 1×1 convolution to four times the width."""

    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int, layers: Layers) -> None:
        residual = nn.Sequential(
            layers.convolution(inputs, width, 1, bias=False),
            layers.normalisation(width),
            nn.ReLU(),
            layers.convolution(width, width, 3, stride, padding=1, bias=False),
            layers.normalisation(width),
            nn.ReLU(),
            layers.convolution(width, 4 * width, 1, bias=False),
            layers.normalisation(4 * width),
        )
        super().__init__(residual, inputs, 4 * width, stride, layers)


def _resnet(
    block: type[BasicBlock] | type[Bottleneck],
    depths: tuple[int, ...],
    channels: int,
    width: int,
    stem: str,
    layers: Layers = IMAGES,
) -> Body:
    parts = _stem(channels, width, stem, layers)
    inputs = width
    for group, depth in enumerate(depths):
        for position in range(depth):
            stride = 2 if group > 0 and position == 0 else 1
            parts.append(block(inputs, width << group, stride, layers))
            inputs = block.expansion * (width << group)
    return nn.Sequential(*parts, layers.pool(1), nn.Flatten()), inputs


def _stem(channels: int, width: int, stem: str, layers: Layers) -> list[nn.Module]:
    if stem == "3x3":
        convolution = layers.convolution(channels, width, 3, padding=1, bias=False)
        return [convolution, layers.normalisation(width), nn.ReLU()]
    convolution = nn.Conv2d(channels, width, 7, stride=2, padding=3, bias=False)
    return [convolution, nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(3, stride=2, padding=1)]
