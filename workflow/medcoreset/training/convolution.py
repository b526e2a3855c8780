"""Weight gradients of 3×3 convolutions by matrix products, where the library's kernel is slow."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.grad import conv2d_input

SMALLEST = 32
"""Input channels from which on a product per tap is large enough to pay."""
SMALLEST_TRANSFORMED = 128
"""Channels from which on Winograd's transforms cost less than the products they save."""
TILES = 1024
"""Tiles of 2×2 outputs that are transformed at a time: their products fill a cache, and no more."""


def speed_up(network: nn.Module, device: torch.device, arithmetic: torch.dtype) -> None:
    """Replace the weight gradients of a network's 3×3 convolutions if that is faster here.

    It is in bfloat16 on CPUs with AMX, whose library kernel reaches a fraction of the matrix
    products' speed. On CPUs with AVX-512 bfloat16 instructions alone the kernel is twice as fast as
    the products. In float32 on CPUs with AVX2 alone the kernel reaches 0.4–0.8 of the speed of
    products, and of wide layers Winograd's way is faster.
    """
    if device.type != "cpu":
        return
    if arithmetic == torch.bfloat16 and torch.cpu._is_amx_tile_supported():
        use_products(network)
    if arithmetic == torch.float32 and torch.backends.cpu.get_cpu_capability() == "AVX2":
        use_winograd(network)


def use_products(network: nn.Module) -> None:
    """Replace the weight gradients of every dense 3×3 convolution with enough input channels."""
    for layer in network.modules():
        if type(layer) is nn.Conv2d and _fits(layer) and layer.in_channels >= SMALLEST:
            layer.__class__ = ProductConv2d


def use_winograd(network: nn.Module) -> None:
    """Replace the weight gradients of every dense 3×3 convolution of stride 1 that is wide enough."""
    for layer in network.modules():
        if type(layer) is nn.Conv2d and _fits(layer) and _is_wide(layer):
            layer.__class__ = WinogradConv2d


def _fits(layer: nn.Conv2d) -> bool:
    return (
        layer.kernel_size == (3, 3)
        and layer.padding == (1, 1)
        and layer.dilation == (1, 1)
        and layer.groups == 1
        and layer.bias is None
        and layer.padding_mode == "zeros"
    )


def _is_wide(layer: nn.Conv2d) -> bool:
    """Say if Winograd's way pays."""
    channels = min(layer.in_channels, layer.out_channels)
    return layer.stride == (1, 1) and channels >= SMALLEST_TRANSFORMED


def by_taps(images: Tensor, gradient: Tensor, stride: tuple[int, int]) -> Tensor:
    """Return dW (out, in, 3, 3): dW[:, :, i, j] = Gᵀ X_ij, X_ij the input shifted to tap (i, j).

    `images` (B, in, H, W), padded by 1, and `gradient` (B, out, H', W') of the output have a row
    per output in these products.
    """
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


def by_winograd(images: Tensor, gradient: Tensor, stride: tuple[int, int]) -> Tensor:
    """Return dW (out, in, 3, 3) = Gᵀ [Σ (A g Aᵀ) ⊙ (Bᵀ x B)] G over 2×2 tiles g of the gradient.

    x are the 4×4 pixels that a tile sees; the stride is 1. These are 16 products where the
    definition takes 36. Lavin and Gray, CVPR 2016, Section 4.1: the gradient of F(2×2, 3×3).
    """
    # One row of zeros around the images; one more, and one at the gradients, where a size is odd.
    odd = [size % 2 for size in images.shape[2:]]
    pixels = functional.pad(images.permute(0, 2, 3, 1), (0, 0, 1, 1 + odd[1], 1, 1 + odd[0]))
    outputs = functional.pad(gradient.permute(0, 2, 3, 1), (0, 0, 0, odd[1], 0, odd[0]))
    tiles = outputs.shape[1] * outputs.shape[2] // 4
    at_a_time = max(1, TILES // tiles)
    found: Tensor | None = None
    for x, g in zip(pixels.split(at_a_time), outputs.split(at_a_time), strict=True):
        x = _on_axis(_pixels, _on_axis(_pixels, x, 1), 3)
        g = _on_axis(_gradients, _on_axis(_gradients, g, 1), 3)
        left, right = (each.reshape(16, -1, each.shape[-1]) for each in (g, x))
        left = left.transpose(1, 2)
        found = torch.bmm(left, right) if found is None else found.baddbmm_(left, right)
    assert found is not None  # a batch has an image
    columns = _taps(found.view(4, 4, *found.shape[1:]))
    return _taps(columns.transpose(0, 1)).permute(2, 3, 0, 1)


def _on_axis(transform: Callable[..., None], values: Tensor, axis: int) -> Tensor:
    """Transform the tiles along an axis; return them with a new first axis of 4, for the rows of it.

    `_pixels` halves what is two longer than the tiles, `_gradients` what is as long as they.
    """
    longer = 2 if transform is _pixels else 0
    tiles = (values.shape[axis] - longer) // 2
    shape = [4, *values.shape]
    shape[axis + 1] = tiles
    result = values.new_empty(shape)
    starts = range(4 if longer else 2)
    parts = [values[(slice(None),) * axis + (slice(i, i + 2 * tiles, 2),)] for i in starts]
    transform(result, *parts)
    return result


def _pixels(out: Tensor, a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> None:
    """Write Bᵀ of each four pixels."""
    torch.sub(a, c, out=out[0])
    torch.add(b, c, out=out[1])
    torch.sub(c, b, out=out[2])
    torch.sub(b, d, out=out[3])


def _gradients(out: Tensor, a: Tensor, b: Tensor) -> None:
    """Write A of each two gradients."""
    out[0] = a
    torch.add(a, b, out=out[1])
    torch.sub(a, b, out=out[2])
    torch.neg(b, out=out[3])


def _taps(products: Tensor) -> Tensor:
    """Return Gᵀ of each four products along the first axis."""
    a, b, c, d = products
    mean, half = (b + c) / 2, (b - c) / 2
    return torch.stack([a + mean, half, mean + d])


class ProductConv2d(nn.Conv2d):
    """A 3×3 convolution with padding 1 whose weight gradient is nine matrix products."""

    weight_gradient = staticmethod(by_taps)

    def forward(self, input: Tensor) -> Tensor:
        """Convolve images (B, C, H, W), in the type of autocast if it is on."""
        weight = self.weight
        if torch.is_autocast_enabled(input.device.type):
            kind = torch.get_autocast_dtype(input.device.type)
            input, weight = input.to(kind), weight.to(kind)
        return _Convolution.apply(input, weight, self.stride, self.weight_gradient)


class WinogradConv2d(ProductConv2d):
    """One of stride 1 whose weight gradient is sixteen products of transformed tiles."""

    weight_gradient = staticmethod(by_winograd)


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        images: Tensor,
        weight: Tensor,
        stride: tuple[int, int],
        weight_gradient: Callable[[Tensor, Tensor, tuple[int, int]], Tensor],
    ) -> Tensor:
        ctx.save_for_backward(images, weight)
        ctx.stride, ctx.weight_gradient = stride, weight_gradient
        return functional.conv2d(images, weight, stride=stride, padding=1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        images, weight = ctx.saved_tensors
        found: list[Tensor | None] = [None, None]
        if ctx.needs_input_grad[0]:
            found[0] = conv2d_input(images.shape, weight, gradient, stride=ctx.stride, padding=1)
        if ctx.needs_input_grad[1]:
            found[1] = ctx.weight_gradient(images, gradient, ctx.stride)
        return found[0], found[1], None, None
