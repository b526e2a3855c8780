"""Weight gradients as matrix products against the library's own."""

import copy

import pytest
import torch
from torch import nn

from medcoreset.networks.factory import build
from medcoreset.training.convolution import ProductConv2d, use_products


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [7, 8])
def test_gradients_are_those_of_the_library(stride, size):
    torch.manual_seed(0)
    theirs = nn.Conv2d(32, 5, 3, stride=stride, padding=1, bias=False).double()
    ours = copy.deepcopy(theirs)
    use_products(ours)
    assert type(ours) is ProductConv2d
    images = torch.randn(4, 32, size, size, dtype=torch.float64)
    found = []
    for layer in (theirs, ours):
        own = images.clone().requires_grad_()
        output = layer(own)
        output.sin().sum().backward()
        found.append((output, own.grad, layer.weight.grad))
    for expected, value in zip(*found, strict=True):
        torch.testing.assert_close(value, expected, rtol=0, atol=1e-10)


def test_a_network_trains_the_same_in_bf16():
    """The gradients of a ResNet's 3×3 layers agree within bfloat16's three digits."""
    torch.manual_seed(0)
    theirs = build("resnet18+width=32", channels=3, classes=5, image_size=16)
    ours = copy.deepcopy(theirs)
    use_products(ours)
    assert sum(type(layer) is ProductConv2d for layer in ours.modules()) == 16
    images = torch.randn(16, 3, 16, 16)
    for network in (theirs, ours):
        with torch.autocast("cpu", torch.bfloat16):
            network(images).float().square().mean().backward()
    for expected, value in zip(theirs.parameters(), ours.parameters(), strict=True):
        assert value.grad.dtype == torch.float32
        difference = (value.grad - expected.grad).norm() / expected.grad.norm().clamp(min=1e-6)
        assert difference < 0.05


def test_layers_of_another_shape_are_left_alone():
    for layer in (
        nn.Conv2d(32, 8, 1, bias=False),
        nn.Conv2d(32, 8, 3, padding=0, bias=False),
        nn.Conv2d(32, 32, 3, padding=1, groups=32, bias=False),
        nn.Conv2d(3, 8, 3, padding=1, bias=False),
    ):
        use_products(layer)
        assert type(layer) is nn.Conv2d
