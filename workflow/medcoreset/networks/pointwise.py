"""Strided 1×1 convolutions, kept out of a library kernel that writes outside its memory.

oneDNN 3.12, which torch 2.14 brings, computes the weight gradient of a strided 1×1 convolution in
channels-last memory from a copy of the pixels that the stride visits. It reserves C numbers per
pixel and addresses a whole vector block: with fewer input channels C than a block has, it writes
past the end, which ends the process or falsifies what lies there
(https://github.com/uxlfoundation/oneDNN/issues/6035). A 1×1 convolution of stride 1 makes no such
copy, so here the pixels are picked first.
"""

import torch
from torch import Tensor, nn

AVX2_BLOCK = 8
AVX512_BLOCK = 16
"""Channels that the kernel addresses at once, by instruction set."""


def avoid_faulty_kernel(network: nn.Module) -> None:
    """Replace, in place, every strided 1×1 convolution of a network that this CPU's kernel fails on.

    Layers keep their parameters and names; all others stay as they are, whose results are right.
    """
    block = AVX512_BLOCK if torch.cpu._is_avx512_supported() else AVX2_BLOCK
    for layer in network.modules():
        if type(layer) is nn.Conv2d and _fails(layer, block):
            layer.__class__ = PointwiseConv2d


def _fails(layer: nn.Conv2d, block: int) -> bool:
    return (
        layer.kernel_size == (1, 1)
        and layer.stride != (1, 1)
        and layer.padding in ((0, 0), "valid")
        and layer.in_channels // layer.groups < block
    )


class PointwiseConv2d(nn.Conv2d):
    """A 1×1 convolution without padding that picks the pixels of its stride before it computes."""

    def forward(self, input: Tensor) -> Tensor:
        """Convolve images (B, C, H, W); on a GPU as the library does."""
        if input.device.type != "cpu":
            return super().forward(input)
        down, right = self.stride
        picked = input[..., ::down, ::right]
        return nn.functional.conv2d(picked, self.weight, self.bias, groups=self.groups)
