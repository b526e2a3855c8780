"""A multilayer perceptron with two hidden layers of equal width."""

from torch import nn


def mlp(*, channels: int, image_size: int, width: int) -> tuple[nn.Module, int]:
    """Return the body of the perceptron and the size of its features, `width`."""
    body = nn.Sequential(
        nn.Flatten(),
        nn.Linear(channels * image_size**2, width),
        nn.ReLU(),
        nn.Linear(width, width),
        nn.ReLU(),
    )
    return body, width
