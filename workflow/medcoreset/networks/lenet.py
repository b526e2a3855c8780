"""LeNet-5 (LeCun et al., Proc. IEEE 1998), with ReLU and max-pooling as in common use.

At 28 pixels: 5×5 convolutions to 6 and 16 channels without padding, each followed by a 2×2
max-pool, then 16·4·4 → 120 → 84 → C. That is the network whose parameters EVA's code has.
"""

from torch import nn

UNPADDED_FROM = 28  # pixels; below, the convolutions would leave too little of the image
GRID = 4  # what 28 pixels leave after both poolings; other sizes are pooled to it


def lenet(*, channels: int, image_size: int, width: int) -> tuple[nn.Module, int]:
    """Return the body of LeNet-5 and the size of its features, 14 · `width` (84).

    The number of parameters does not depend on the image size: what the convolutions leave is
    average-pooled to 4×4, and images below 28 pixels are padded by 2 in both convolutions.
    """
    padding = 0 if image_size >= UNPADDED_FROM else 2
    second, hidden, features = round(16 * width / 6), 20 * width, 14 * width
    body = nn.Sequential(
        nn.Conv2d(channels, width, 5, padding=padding),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(width, second, 5, padding=padding),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.AdaptiveAvgPool2d(GRID),
        nn.Flatten(),
        nn.Linear(second * GRID**2, hidden),
        nn.ReLU(),
        nn.Linear(hidden, features),
        nn.ReLU(),
    )
    return body, features
