"""WRN-16-8, the wide residual network (Zagoruyko and Komodakis, BMVC 2016), without dropout."""

from torch import Tensor, nn
from torch.nn.functional import relu

BLOCKS = 2  # per group: (16 − 4) / 6
WIDENING = 8


def wrn16_8(*, channels: int, image_size: int, width: int) -> tuple[nn.Module, int]:
    """Return the body of WRN-16-8 and the size of its features, 32 · `width` (512)."""
    layers: list[nn.Module] = [nn.Conv2d(channels, width, 3, padding=1, bias=False)]
    inputs = width
    for group in range(3):
        outputs = (width * WIDENING) << group
        for position in range(BLOCKS):
            stride = 2 if group > 0 and position == 0 else 1
            layers.append(PreActivationBlock(inputs, outputs, stride))
            inputs = outputs
    layers += [nn.BatchNorm2d(inputs), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers), inputs


class PreActivationBlock(nn.Module):
    """Twice normalise, rectify, convolve; a projection sees the input after the first two."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.normalise = nn.BatchNorm2d(inputs)
        self.residual = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
        )
        self.projection = None
        if stride != 1 or inputs != outputs:
            self.projection = nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H / stride, W / stride)."""
        activated = relu(self.normalise(x))
        shortcut = x if self.projection is None else self.projection(activated)
        return shortcut + self.residual(activated)
