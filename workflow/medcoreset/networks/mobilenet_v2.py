"""MobileNetV2 (Sandler et al., CVPR 2018) for small images.

Against the paper, the stem and the 24-channel stage have stride 1, every block has an expansion
(the first by 1), and a stride-1 block whose width changes has a projection as its shortcut. That
is the network whose parameters EVA's code has; torchvision's has fewer.
"""

from torch import Tensor, nn

# expansion, channels for a stem of 32, blocks, stride of the first block
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 1),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def mobilenet_v2(*, channels: int, image_size: int, width: int) -> tuple[nn.Module, int]:
    """Return the body of MobileNetV2 and the size of its features, 40 · `width` (1280)."""
    layers = [
        nn.Conv2d(channels, width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
    ]
    inputs = width
    for expansion, stage_channels, blocks, first_stride in STAGES:
        outputs = max(1, round(stage_channels * width / 32))
        for position in range(blocks):
            stride = first_stride if position == 0 else 1
            layers.append(InvertedResidual(inputs, outputs, expansion, stride))
            inputs = outputs
    features = 40 * width
    layers += [nn.Conv2d(inputs, features, 1, bias=False), nn.BatchNorm2d(features), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()), features


class InvertedResidual(nn.Module):
    """Expand by 1×1, convolve depthwise by 3×3, project by 1×1; a shortcut where stride is 1."""

    def __init__(self, inputs: int, outputs: int, expansion: int, stride: int) -> None:
        super().__init__()
        hidden = expansion * inputs
        self.residual = nn.Sequential(
            nn.Conv2d(inputs, hidden, 1, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU(),
            nn.Conv2d(hidden, hidden, 3, stride, padding=1, groups=hidden, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU(),
            nn.Conv2d(hidden, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.stride = stride
        self.shortcut = nn.Sequential()
        if stride == 1 and inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H / stride, W / stride)."""
        residual = self.residual(x)
        return residual + self.shortcut(x) if self.stride == 1 else residual
