"""Strided 1×1 layers: no write outside the heap, and the numbers of the plain convolution."""

import copy
import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from medcoreset.networks.factory import build
from medcoreset.networks.pointwise import PointwiseConv2d, avoid_faulty_kernel

ROOT = Path(__file__).parents[1]
CHECKER = "libc_malloc_debug.so.0"  # glibc's; finds a write past a block's end when it is freed


def checked(isa: str | None) -> dict[str, str]:
    """Return an environment without a GPU, under the heap checker where the system has it."""
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "", "OMP_WAIT_POLICY": "passive"}
    if isa:
        environment["ONEDNN_MAX_CPU_ISA"] = isa
    try:
        ctypes.CDLL(CHECKER)
    except OSError:
        return environment
    return environment | {"LD_PRELOAD": CHECKER, "GLIBC_TUNABLES": "glibc.malloc.check=3"}


@pytest.mark.parametrize(
    ("what", "threads", "isa"),
    [
        ("layers", 1, None),
        ("layers", 1, "AVX2"),
        ("layers", 2, None),
        ("networks", 1, "AVX2"),
        ("other", 1, None),
    ],
)
def test_training_leaves_the_heap_intact(what, threads, isa):
    command = [sys.executable, "-m", "tests.heap_cases", what, str(threads)]
    run = subprocess.run(command, env=checked(isa), cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, f"after {run.stdout.splitlines()[-1:]}: {run.stderr[-2000:]}"
    assert run.stdout.endswith("done\n")


@pytest.mark.parametrize("stride", [2, (1, 3)])
@pytest.mark.parametrize(("groups", "bias"), [(1, False), (2, True)])
@pytest.mark.parametrize("size", [7, 8])
def test_numbers_are_those_of_the_plain_convolution(stride, groups, bias, size):
    torch.manual_seed(0)
    plain = nn.Conv2d(4, 6, 1, stride, groups=groups, bias=bias).double()
    ours = copy.deepcopy(plain)
    avoid_faulty_kernel(ours)
    assert type(ours) is PointwiseConv2d
    images = torch.randn(5, 4, size, size, dtype=torch.float64)
    found = []
    for layer in (plain, ours):
        own = images.clone().requires_grad_()
        output = layer(own)
        output.sin().sum().backward()
        found.append((output, own.grad, *(p.grad for p in layer.parameters())))
    for expected, value in zip(*found, strict=True):
        torch.testing.assert_close(value, expected, rtol=0, atol=1e-12)


def test_other_layers_are_left_alone():
    for layer in (
        nn.Conv2d(16, 32, 1, stride=2),
        nn.Conv2d(4, 8, 1),
        nn.Conv2d(4, 8, 1, stride=2, padding=1),
        nn.Conv2d(4, 8, 3, stride=2, padding=1),
    ):
        avoid_faulty_kernel(layer)
        assert type(layer) is nn.Conv2d


def test_layers_of_the_networks_are_replaced():
    narrow = build("resnet18+width=4", channels=1, classes=2, image_size=8)
    assert [m.in_channels for m in narrow.modules() if type(m) is PointwiseConv2d][:1] == [4]
    wide = build("resnet18", channels=1, classes=2, image_size=8)
    assert not any(isinstance(m, PointwiseConv2d) for m in wide.modules())
