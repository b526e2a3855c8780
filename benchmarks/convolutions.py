"""Find the convolutions of the registered networks that this machine's library computes wrongly.

    python benchmarks/convolutions.py [--threads 2] [--isa AVX2] [--plain] [--every 7]

Every shape of convolution in every registered network, narrow to wide, is computed forward and
backward, channels last, of a batch and per sample, under glibc's heap checker. A case that ends its
process, hangs or differs from the native kernels is printed. With --plain the layers are
`nn.Conv2d` itself, else as `networks.factory.build` makes them.
"""

import itertools
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import NamedTuple

import click
import torch
from torch.func import functional_call, grad, vmap

from medcoreset import networks
from medcoreset.errors import UserError
from medcoreset.networks.factory import build
from medcoreset.networks.pointwise import avoid_faulty_kernel

CHECKER = {
    "LD_PRELOAD": "libc_malloc_debug.so.0",
    "GLIBC_TUNABLES": "glibc.malloc.check=3",
    "CUDA_VISIBLE_DEVICES": "",
    "PYTHONWARNINGS": "ignore",
}
MARK = "CONVOLUTIONS_CHECKED"
WIDTHS = (*range(1, 10), 12)
SIZES = (8, 15, 28, 32, 75, 224)
BATCHES = (2, 3, 16, 17, 64)
MODES = ("float32", "bf16", "per sample")
MOST_WORK = 2e7  # multiply-adds of a case; what is larger is left out and counted
SECONDS = 60  # in which a case has ended, or hangs
WRONG = 3  # exit status of a process that found a wrong result


class Shape(NamedTuple):
    """A convolution and the images it is given."""

    inputs: int
    outputs: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    groups: int
    bias: bool
    size: tuple[int, int]

    def work(self) -> float:
        """Return the multiply-adds per image."""
        (height, width), (down, right) = self.size, self.stride
        taps = self.kernel[0] * self.kernel[1] * self.inputs / self.groups
        return taps * self.outputs * height * width / (down * right)


@click.command()
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True)
@click.option(
    "--isa", help="Largest instruction set of oneDNN, such as AVX2; the machine's if none."
)
@click.option("--plain", is_flag=True, help="The library's own layer, without our protection.")
@click.option("--network", "names", multiple=True, help="Only these networks; all by default.")
@click.option("--every", type=click.IntRange(min=1), default=1, help="Run each N-th case only.")
def main(threads: int, isa: str | None, plain: bool, names: tuple[str, ...], every: int) -> None:
    """Run all cases and print those that fail; the exit status is 1 if any does."""
    if MARK not in os.environ:
        sys.exit(checked(collect(names), threads, isa))
    shapes = pickle.load(sys.stdin.buffer)
    cases = list(itertools.product(shapes, BATCHES, MODES))[::every]
    small = [case for case in cases if case[0].work() * case[1] <= MOST_WORK]
    print(
        f"{len(shapes)} shapes, {len(small)} cases, {len(cases) - len(small)} too large", flush=True
    )
    failed = 0
    for (shape, batch, mode), reason in failures(small, plain):
        print(f"{reason}: {shape} batch={batch} {mode}", flush=True)
        failed += 1
    print(f"{failed} of {len(small)} failed")
    sys.exit(failed > 0)


def checked(shapes: list[Shape], threads: int, isa: str | None) -> int:
    """Run this program again on the shapes, under the heap checker; return its exit status.

    A new process, since allocator and library read their settings when they are loaded.
    """
    environment = os.environ | CHECKER | {"OMP_NUM_THREADS": str(threads), MARK: "1"}
    if isa:
        environment["ONEDNN_MAX_CPU_ISA"] = isa
    command = [sys.executable, *sys.argv]
    return subprocess.run(command, env=environment, input=pickle.dumps(shapes)).returncode


def collect(names: tuple[str, ...]) -> list[Shape]:
    """Return every shape that a forward pass of the named networks meets, of all if none is."""
    found: dict[Shape, None] = {}

    def note(layer: torch.nn.Conv2d, arguments: tuple, _: torch.Tensor) -> None:
        settings = layer.kernel_size, layer.stride, layer.padding, layer.groups
        size = tuple(arguments[0].shape[2:])
        shape = Shape(
            layer.in_channels, layer.out_channels, *settings, layer.bias is not None, size
        )
        found[shape] = None

    for network_id in variants(names or networks.NAMES):
        for channels, size in zip(itertools.cycle((1, 3)), SIZES, strict=False):
            try:
                with torch.device("meta"):
                    network = build(network_id, channels=channels, classes=2, image_size=size)
            except UserError:
                continue  # too small an image, or a width that the network does not take
            for layer in network.modules():
                if isinstance(layer, torch.nn.Conv2d):
                    layer.register_forward_hook(note)
            network.eval()(torch.empty(2, channels, size, size, device="meta"))
    return list(found)


def variants(names: tuple[str, ...]) -> Iterator[str]:
    """Yield the ids of the networks with every choice of their options and every width."""
    for name in names:
        values = [
            [f"+{option}={value}" for value in (WIDTHS if isinstance(allowed, int) else allowed)]
            for option, allowed in networks.ARCHITECTURES[name].options.items()
        ]
        for settings in itertools.product(*values):
            yield name + "".join(settings)


def failures(cases: list[tuple], plain: bool) -> Iterator[tuple[tuple, str]]:
    """Yield the cases that fail, and how; a process runs them until one ends it.

    One that passes in a process of its own met what an earlier one had left, and is marked so.
    """
    begin = 0
    while begin < len(cases):
        last, reason = run(cases[begin:], plain)
        if reason:
            alone = run(cases[begin + last : begin + last + 1], plain)[1]
            yield cases[begin + last], reason if alone else f"{reason} after another"
        begin += last + 1


def run(cases: list[tuple], plain: bool) -> tuple[int, str]:
    """Run cases in a process of their own; return the last one's number, and how it failed if so."""
    source, sink = os.pipe()
    child = os.fork()
    if child == 0:
        for index, case in enumerate(cases):
            os.write(sink, index.to_bytes(4, "big"))
            signal.alarm(SECONDS)
            if not right(*case, plain=plain):
                os._exit(WRONG)
        os._exit(0)
    os.close(sink)
    with os.fdopen(source, "rb") as reports:
        last = int.from_bytes(reports.read()[-4:], "big")
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    named = {0: "", WRONG: "wrong", -signal.SIGALRM: "hangs"}
    return last, named[status] if status in named else signal.Signals(-status).name


def right(shape: Shape, batch: int, mode: str, *, plain: bool) -> bool:
    """Compute one case; tell whether output and gradients are those of the native kernels."""
    torch.manual_seed(0)
    settings = shape.kernel, shape.stride, shape.padding
    layer = torch.nn.Conv2d(
        shape.inputs, shape.outputs, *settings, groups=shape.groups, bias=shape.bias
    )
    layer.to(memory_format=torch.channels_last)
    images = torch.randn(batch, shape.inputs, *shape.size)
    images = images.contiguous(memory_format=torch.channels_last)
    with torch.backends.mkldnn.flags(enabled=False):
        expected = results(layer, images, mode.replace("bf16", "float32"))
    if not plain:
        avoid_faulty_kernel(layer)
    found = results(layer, images, mode)
    # The library adds up in bfloat16: sums that nearly cancel differ by a fifth from float32.
    tolerance = 0.5 if mode == "bf16" else 1e-3
    return all(
        (a.float() - b).norm() <= tolerance * b.norm().clamp(min=1e-3)
        for a, b in zip(found, expected, strict=True)
    )


def results(layer: torch.nn.Conv2d, images: torch.Tensor, mode: str) -> list[torch.Tensor]:
    """Return output, image gradient and parameter gradients of one layer in a mode."""

    def loss(parameters: dict, images: torch.Tensor) -> torch.Tensor:
        return functional_call(layer, parameters, (images,)).float().sin().sum()

    gradients = grad(loss, argnums=(0, 1))
    parameters = {name: p.detach() for name, p in layer.named_parameters()}
    if mode == "per sample":
        weights, own = vmap(gradients, in_dims=(None, 0))(parameters, images[:, None])
        return [own, *weights.values()]
    own = images.clone(memory_format=torch.preserve_format).requires_grad_()
    layer.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=mode == "bf16"):
        output = layer(own)
    output.float().sin().sum().backward()
    return [output.detach(), own.grad, *(p.grad.clone() for p in layer.parameters())]


if __name__ == "__main__":
    main()
