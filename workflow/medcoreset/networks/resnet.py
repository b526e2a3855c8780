"""ResNet-18, -34 and -50 (He et al., CVPR 2016).

The default stem is the one for small images: a 3×3 convolution of stride 1 and no max-pool. The
stem `7x7` is that of the paper for ImageNet (stride 2, then a 3×3 max-pool of stride 2), and costs
1/16 of the work; it is the sensible choice for 224 pixels.
"""

from torch import Tensor, nn
from torch.nn.functional import relu

Body = tuple[nn.Module, int]


def resnet18(*, channels: int, image_size: int, width: int, stem: str) -> Body:
    """Return the body of ResNet-18 and the size of its features, 8 · `width`."""
    return _resnet(BasicBlock, (2, 2, 2, 2), channels, width, stem)


def resnet34(*, channels: int, image_size: int, width: int, stem: str) -> Body:
    """Return the body of ResNet-34 and the size of its features, 8 · `width`."""
    return _resnet(BasicBlock, (3, 4, 6, 3), channels, width, stem)


def resnet50(*, channels: int, image_size: int, width: int, stem: str) -> Body:
    """Return the body of ResNet-50 and the size of its features, 32 · `width`."""
    return _resnet(Bottleneck, (3, 4, 6, 3), channels, width, stem)


class Residual(nn.Module):
    """relu(residual(x) + shortcut(x)), the shortcut a projection where the shape changes."""

    expansion: int

    def __init__(self, residual: nn.Module, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.residual = residual
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, expansion · width, H / stride, W / stride)."""
        return relu(self.residual(x) + self.shortcut(x))


class BasicBlock(Residual):
    """Two 3×3 convolutions and a shortcut."""

    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        residual = nn.Sequential(
            nn.Conv2d(inputs, width, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
        )
        super().__init__(residual, inputs, width, stride)


class Bottleneck(Residual):
    """A 1×1, a 3×3 (which has the stride) and a 1×1 convolution to four times the width."""

    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        residual = nn.Sequential(
            nn.Conv2d(inputs, width, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, 4 * width, 1, bias=False),
            nn.BatchNorm2d(4 * width),
        )
        super().__init__(residual, inputs, 4 * width, stride)


def _resnet(
    block: type[Residual], depths: tuple[int, ...], channels: int, width: int, stem: str
) -> Body:
    layers = _stem(channels, width, stem)
    inputs = width
    for group, depth in enumerate(depths):
        for position in range(depth):
            stride = 2 if group > 0 and position == 0 else 1
            layers.append(block(inputs, width << group, stride))
            inputs = block.expansion * (width << group)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()), inputs


def _stem(channels: int, width: int, stem: str) -> list[nn.Module]:
    if stem == "3x3":
        convolution = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        return [convolution, nn.BatchNorm2d(width), nn.ReLU()]
    convolution = nn.Conv2d(channels, width, 7, stride=2, padding=3, bias=False)
    return [convolution, nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(3, stride=2, padding=1)]
