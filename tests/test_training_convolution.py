"""Weight gradients as matrix products against the library's own."""

import copy

import pytest
import torch
from torch import nn

from medcoreset.networks.factory import build
from medcoreset.training import convolution
from medcoreset.training.convolution import (
    ProductConv2d,
    WinogradConv2d,
    use_products,
    use_winograd,
)

WAYS = [
    (use_products, ProductConv2d, 32, 1),
    (use_products, ProductConv2d, 32, 2),
    (use_winograd, WinogradConv2d, 128, 1),
]


@pytest.mark.parametrize(("use", "kind", "channels", "stride"), WAYS)
@pytest.mark.parametrize("size", [(7, 8), (8, 8), (5, 7), (1, 1)])
def test_gradients_are_those_of_the_library(use, kind, channels, stride, size, monkeypatch):
    monkeypatch.setattr(convolution, "TILES", 20)  # several blocks of images, the last a short one
    torch.manual_seed(0)
    theirs = nn.Conv2d(channels, channels, 3, stride=stride, padding=1, bias=False).double()
    ours = copy.deepcopy(theirs)
    use(ours)
    assert type(ours) is kind
    images = torch.randn(5, channels, *size, dtype=torch.float64)
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


def test_winograd_s_gradients_have_the_precision_of_the_library_s():
    """In float32 both differ from float64 by rounding: by no more than a few parts in a million."""
    torch.manual_seed(0)
    images, gradient = torch.randn(2, 32, 128, 14, 14)
    exact = by_library(images.double(), gradient.double())
    for found in (
        by_library(images, gradient),
        convolution.by_winograd(images, gradient, (1, 1)),
    ):
        assert (found - exact).norm() / exact.norm() < 1e-5


def by_library(images, gradient):
    shape = (gradient.shape[1], images.shape[1], 3, 3)
    return torch.nn.grad.conv2d_weight(images, shape, gradient, padding=1)


@pytest.mark.parametrize("use", [use_products, use_winograd])
def test_layers_of_another_shape_are_left_alone(use):
    for layer in (
        nn.Conv2d(128, 128, 1, bias=False),
        nn.Conv2d(128, 128, 3, padding=0, bias=False),
        nn.Conv2d(128, 128, 3, padding=1, groups=128, bias=False),
        nn.Conv2d(3, 128, 3, padding=1, bias=False),
    ):
        use(layer)
        assert type(layer) is nn.Conv2d
