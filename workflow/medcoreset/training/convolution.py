"""Weight gradients of 3×3 convolutions as matrix products, where the library's kernel is slow."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

SMALLEST = 32
"""Input channels from which on a product per tap is large enough to pay."""


def speed_up(network: nn.Module, device: torch.device, arithmetic: torch.dtype) -> None:
    """Replace the weight gradients of a network's 3×3 convolutions if that is faster here.

    It is in bfloat16 on CPUs with AMX, whose library kernel reaches a fraction of the matrix
    products' speed. On CPUs with AVX-512 bfloat16 instructions alone the kernel is twice as fast as
    the products.
    """
    if device.type == "cpu" and arithmetic == torch.bfloat16 and torch.cpu._is_amx_tile_supported():
        use_products(network)


def use_products(network: nn.Module) -> None:
    """Replace the weight gradients of every dense 3×3 convolution with enough input channels."""
    for layer in network.modules():
        if type(layer) is nn.Conv2d and _fits(layer):
            layer.__class__ = ProductConv2d


def _fits(layer: nn.Conv2d) -> bool:
    return (
        layer.kernel_size == (3, 3)
        and layer.padding == (1, 1)
        and layer.dilation == (1, 1)
        and layer.groups == 1
        and layer.bias is None
        and layer.padding_mode == "zeros"
        and layer.in_channels >= SMALLEST
    )


class ProductConv2d(nn.Conv2d):
    """A 3×3 convolution with padding 1 whose weight gradient is nine matrix products."""

    def forward(self, input: Tensor) -> Tensor:
        """Convolve images (B, C, H, W), in the type of autocast if it is on."""
        weight = self.weight
        if torch.is_autocast_enabled(input.device.type):
            kind = torch.get_autocast_dtype(input.device.type)
            input, weight = input.to(kind), weight.to(kind)
        return _Convolution.apply(input, weight, self.stride)


class _Convolution(torch.autograd.Function):
    """dW[:, :, i, j] = Gᵀ X_ij, with X_ij the input shifted to tap (i, j), one row per output."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, stride: tuple[int, int]) -> Tensor:
        ctx.save_for_backward(images, weight)
        ctx.stride = stride
        return functional.conv2d(images, weight, stride=stride, padding=1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        images, weight = ctx.saved_tensors
        image_gradient = weight_gradient = None
        if ctx.needs_input_grad[0]:
            image_gradient = torch.nn.grad.conv2d_input(
                images.shape, weight, gradient, stride=ctx.stride, padding=1
            )
        if ctx.needs_input_grad[1]:
            weight_gradient = _weight_gradient(images, gradient, ctx.stride)
        return image_gradient, weight_gradient, None


def _weight_gradient(images: Tensor, gradient: Tensor, stride: tuple[int, int]) -> Tensor:
    """Return the weight gradient (out, in, 3, 3) of a 3×3 convolution with padding 1."""
    height, width = gradient.shape[2:]
    rows = gradient.permute(0, 2, 3, 1).reshape(-1, gradient.shape[1]).T
    padded = functional.pad(images.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1))
    found = images.new_empty(gradient.shape[1], 3, 3, images.shape[1])
    for i in range(3):
        for j in range(3):
            down = slice(i, i + stride[0] * (height - 1) + 1, stride[0])
            right = slice(j, j + stride[1] * (width - 1) + 1, stride[1])
            found[:, i, j] = rows @ padded[:, down, right].reshape(-1, images.shape[1])
    return found.permute(0, 3, 1, 2)
