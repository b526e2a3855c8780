"""VGG-11 and VGG-16 (Simonyan and Zisserman, ICLR 2015; configurations A and D).

As is common for small images, with batch normalisation, and with the global average of the last
stage in place of the two layers of 4096 units.
"""

from torch import nn

Body = tuple[nn.Module, int]


def vgg11(*, channels: int, image_size: int, width: int) -> Body:
    """Return the body of VGG-11 and the size of its features, 8 · `width` (512)."""
    return _vgg((1, 1, 2, 2, 2), channels, width)


def vgg16(*, channels: int, image_size: int, width: int) -> Body:
    """Return the body of VGG-16 and the size of its features, 8 · `width` (512)."""
    return _vgg((2, 2, 3, 3, 3), channels, width)


def _vgg(depths: tuple[int, ...], channels: int, width: int) -> Body:
    layers: list[nn.Module] = []
    inputs = channels
    for stage, depth in enumerate(depths):
        outputs = width << min(stage, 3)
        for _ in range(depth):
            convolution = nn.Conv2d(inputs, outputs, 3, padding=1)
            layers += [convolution, nn.BatchNorm2d(outputs), nn.ReLU()]
            inputs = outputs
        # Rounding up lets five poolings take any size; where the size is even it changes nothing.
        layers.append(nn.MaxPool2d(2, ceil_mode=True))
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()), inputs
