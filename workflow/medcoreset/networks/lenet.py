"""LeNet-5 (LeCun et al., Proc. IEEE 1998), with ReLU and max-pooling as in common use.

At 28 pixels: 5×5 convolutions to 6 and 16 channels without padding, each followed by a 2×2
max-pool, then 16·4·4 → 120 → 84 → C. That is the network whose parameters EVA's code has.
"""

from torch import nn

REFERENCE_SIZE = 28  # pixels; what both poolings leave of it is GRID
GRID = 4


def lenet(*, channels: int, image_size: int, width: int) -> tuple[nn.Module, int]:
    """Return the body of LeNet-5 and the size of its features, 14 · `width` (84).

    The number of parameters does not depend on the image size: what the convolutions leave of
    other sizes than 28 pixels is average-pooled (or repeated) to 4×4, and smaller images are
    padded by 2 in both convolutions.
    """
    padding = 0 if image_size >= REFERENCE_SIZE else 2
    # Left out where it would do nothing, since its gradient is not deterministic on a GPU.
    to_grid = nn.Identity() if image_size == REFERENCE_SIZE else nn.AdaptiveAvgPool2d(GRID)
    second, hidden, features = round(16 * width / 6), 20 * width, 14 * width
    body = nn.Sequential(
        nn.Conv2d(channels, width, 5, padding=padding),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(width, second, 5, padding=padding),
        nn.ReLU(),
        nn.MaxPool2d(2),
        to_grid,
        nn.Flatten(),
        nn.Linear(second * GRID**2, hidden),
        nn.ReLU(),
        nn.Linear(hidden, features),
        nn.ReLU(),
    )
    return body, features
