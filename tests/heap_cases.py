"""Training steps for test_networks_heap.py, in a process of their own: `python -m tests.heap_cases`."""

import itertools
import sys

import torch
from torch import nn
from torch.func import functional_call, grad, vmap
from torch.nn.functional import cross_entropy

from medcoreset import networks
from medcoreset.networks.factory import build
from medcoreset.networks.pointwise import avoid_faulty_kernel
from medcoreset.training.model import Model
from tests.network_cases import narrow_forms, shown_to

WIDTHS = range(1, 10)
CPU = torch.device("cpu")


def layers() -> None:
    """Run strided 1×1 layers of 1 to 16 input channels as a training and as evidence do."""
    torch.manual_seed(0)
    for inputs, size, batch in itertools.product(range(1, 17), (4, 7, 8, 32, 64), (2, 3, 17, 64)):
        if size * batch <= 1024:
            layer = nn.Conv2d(inputs, 2 * inputs, 1, stride=2, bias=False)
            layer.to(memory_format=torch.channels_last)
            avoid_faulty_kernel(layer)
            images = torch.randn(batch, inputs, size, size)
            images = images.contiguous(memory_format=torch.channels_last).requires_grad_()
            with torch.autocast("cpu", torch.bfloat16):
                layer(images).float().square().sum().backward()
            found = gradients(layer, images)
            with torch.backends.mkldnn.flags(enabled=False):
                expected = gradients(layer, images)
            # A write that stays inside the heap shows in the numbers, mostly with two threads.
            torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-2)
            per_sample(layer, images.detach())


def gradients(layer: nn.Module, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
    return torch.autograd.grad(layer(images).square().sum(), [layer.weight, images])


def per_sample(layer: nn.Module, images: torch.Tensor) -> None:
    def loss(parameters: dict, image: torch.Tensor) -> torch.Tensor:
        return functional_call(layer, parameters, (image[None],)).square().sum()

    parameters = {name: parameter.detach() for name, parameter in layer.named_parameters()}
    vmap(grad(loss), in_dims=(None, 0))(parameters, images)


def every_network() -> None:
    """Train every registered network for a step, at its narrow form and at widths of 1 to 9."""
    for network_id in forms():
        step(network_id, torch.float32)


def forms() -> list[str]:
    found = dict.fromkeys(narrow_forms())
    for network_id in list(found):
        name, options = networks.parse(network_id)
        if "width" in options:
            others = "".join(f"+{key}={options[key]}" for key in options if key != "width")
            multiple = networks.ARCHITECTURES[name].multiple
            widths = [width for width in WIDTHS if width % multiple == 0]
            found |= dict.fromkeys(f"{name}+width={width}{others}" for width in widths)
    return list(found)


def other_arithmetic() -> None:
    """Train every narrow form in bfloat16."""
    for network_id in narrow_forms():
        step(network_id, torch.bfloat16)


def step(network_id: str, arithmetic: torch.dtype) -> None:
    """Train a freshly made network on one batch of random images, as the training loop does."""
    print(network_id, arithmetic, flush=True)
    torch.manual_seed(0)
    network = build(network_id, channels=1, classes=3, image_size=16)
    model = Model(network, CPU, arithmetic)
    _, logits = model(shown_to(network_id, torch.randn(6, 1, 16, 16)))
    cross_entropy(logits, torch.arange(6) % 3).backward()
    for parameter in model.parameters():
        assert torch.isfinite(parameter.grad).all()


if __name__ == "__main__":
    torch.set_num_threads(int(sys.argv[2]))
    {"layers": layers, "networks": every_network, "other": other_arithmetic}[sys.argv[1]]()
    print("done")
