"""The convolutions of ResNet-18, pass by pass, beside the machine's matrix product."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch.nn.functional import conv2d

import clock
from start import matrix_rate
from table import Goal, Row

SHARE = 0.9
"""Of the matrix product's rate; a pass that reaches it has nothing to gain from another kernel."""


class Layer(NamedTuple):
    """A 3×3 convolution of the network at 28×28, and how many of them it has."""

    inputs: int
    outputs: int
    size: int
    stride: int
    count: int


LAYERS = (
    Layer(64, 64, 28, 1, 4),
    Layer(64, 128, 28, 2, 1),
    Layer(128, 128, 14, 1, 3),
    Layer(128, 256, 14, 2, 1),
    Layer(256, 256, 7, 1, 3),
    Layer(256, 512, 7, 2, 1),
    Layer(512, 512, 4, 1, 3),
)
BATCH = 32
PASSES = ("forward", "gradient of the images", "gradient of the weights")


def passes(device: str, precision: torch.dtype = torch.float32) -> Iterator[Row]:
    """Operations per second of each pass of each layer; as the reference, of a matrix product."""
    matrix = matrix_rate(precision, device) / 1e9
    seconds, operations = dict.fromkeys(PASSES, 0.0), dict.fromkeys(PASSES, 0.0)
    for layer in LAYERS:
        for name, (took, work) in measured(layer, device, precision).items():
            case = f"{layer.inputs}→{layer.outputs} of {layer.size}×{layer.size}, {name}"
            yield Row("convolution", case, "GFLOP/s", work / took / 1e9, matrix)
            seconds[name] += layer.count * took
            operations[name] += layer.count * work
    for name in PASSES:
        rate = operations[name] / seconds[name] / 1e9
        share = seconds[name] / sum(seconds.values())
        case = f"all of ResNet-18, {name} ({share:.0%} of the time)"
        yield Row("convolution", case, "GFLOP/s", rate, matrix, Goal(">=", SHARE))


def measured(layer: Layer, device: str, precision: torch.dtype) -> dict[str, tuple[float, float]]:
    """Return the least seconds of each pass, channels last, and its operations."""

    def made(*shape: int) -> torch.Tensor:
        values = torch.randn(*shape, device=device, dtype=precision)
        return values.contiguous(memory_format=torch.channels_last)

    images = made(BATCH, layer.inputs, layer.size, layer.size)
    weights = made(layer.outputs, layer.inputs, 3, 3)
    output = conv2d(images, weights, stride=layer.stride, padding=1)
    gradient = torch.randn_like(output)
    settings = [layer.stride] * 2, [1, 1], [1, 1], False, [0, 0], 1

    def backward(*wanted: bool) -> Callable[[], object]:
        return lambda: torch.ops.aten.convolution_backward(
            gradient, images, weights, None, *settings, wanted
        )

    ways = (
        lambda: conv2d(images, weights, stride=layer.stride, padding=1),
        backward(True, False, False),
        backward(False, True, False),
    )
    work = 2 * output.numel() * layer.inputs * 9
    return {name: (least(way, device), work) for name, way in zip(PASSES, ways, strict=True)}


def least(way: Callable[[], object], device: str, rounds: int = 8) -> float:
    """Return the least seconds of some runs, after one that warms up."""
    found = []
    for _ in range(rounds + 1):
        began = clock.seconds()
        way()
        if device == "cuda":
            torch.cuda.synchronize()
        found.append(clock.seconds() - began)
    return min(found[1:])
