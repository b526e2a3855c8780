"""A number is the same, bit for bit, on the same kernels, and metrics.json says on which it was."""

import json
import os
import subprocess
import sys
from pathlib import Path

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
