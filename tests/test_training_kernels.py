"""A number is the same, bit for bit, on the same kernels, and metrics.json says on which it was.

And the memory of a job, which it keeps between the steps.
"""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from medcoreset import device
from medcoreset.datasets import canonical
from tests.training_cases import content, digits


def train(folder: Path, **environment: str) -> Path:
    """Train two seeds in a process of their own; return the folder of the results."""
    canonical.write(digits(train=80, held_out=40), folder / "data.npz")
    command = [sys.executable, "-m", "medcoreset", "train", "--dataset", folder / "data.npz"]
    command += ["--protocol", "clean", "--surrogate", "none", "--method", "full", "--rate", "1"]
    command += ["--network", "resnet18+width=8", "--seeds", "0,1", "--out", folder / "out"]
    command += ["--epochs", "2", "--channels", "0", "--precision", "float32", "--device", "cpu"]
    environment = os.environ | environment
    subprocess.run(list(map(str, command)), env=environment, check=True, timeout=300)
    return folder / "out"


def kernels(out: Path) -> dict:
    return json.loads((out / "metrics.json").read_text())["measured"]["kernels"]


def test_two_processes_on_the_same_kernels_give_the_same_bytes(tmp_path):
    first, second = train(tmp_path / "first"), train(tmp_path / "second")
    assert kernels(first) == kernels(second)
    assert content(first) == content(second)


def test_metrics_tell_the_kernels_of_each_seed(tmp_path):
    limits = {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"}
    found = kernels(train(tmp_path, **limits))
    assert sorted(found) == ["0", "1"]
    for of_seed in found.values():
        assert of_seed["limits"] == limits
        assert of_seed["threads"] == 1
        usual = device.kernels(torch.device("cpu"))
        assert of_seed["instructions"] != usual["instructions"], "torch can do without AVX"
        for equal in ("cpu", "extensions", "onednn", "blas"):
            assert of_seed[equal] == usual[equal]


FAULTS = """
import resource, torch
from medcoreset.device import resolve

resolve("cpu", 1)

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def step():
    kept = [torch.ones(2**18) for _ in range(32)]

for _ in range(5):
    step()
before = faults()
for _ in range(10):
    step()
print((faults() - before) / 10)
"""
"""Prints the page faults of a step that takes, fills and frees 32 blocks of 1 MiB, 8192 pages."""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries stay as they are")
def test_a_job_keeps_the_memory_that_it_frees():
    command = [sys.executable, "-c", FAULTS]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert float(done.stdout) < 100
