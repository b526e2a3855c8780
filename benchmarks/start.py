"""What a job costs before its first step, and how close the steps come to the machine's peak."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

import clock
from engine import Engine, images
from medcoreset.datasets import canonical
from medcoreset.datasets.canonical import Dataset
from medcoreset.networks.factory import build
from table import Goal, Row

FIRST_STEP = """
import os, sys
from medcoreset.training.loop import Training
Training._train_step = lambda *_: os._exit(0)
from medcoreset.__main__ import main
sys.argv[0] = "medcoreset"
main()
"""
"""A job that ends where its first step would begin."""


def job(device: str) -> Iterator[Row]:
    """Seconds of a job that trains one epoch of an MLP; as the reference, of importing torch.

    Another row's reference is what the public code imports before it starts.
    """
    with tempfile.TemporaryDirectory() as folder:
        pixels, labels = images(512, size=8)
        held_out = (pixels[:64], labels[:64])
        dataset = Dataset("noise", pixels, labels, *held_out, *held_out, {})
        path = Path(folder) / "data.npz"
        canonical.write(dataset, path)
        command = ["train", "--dataset", str(path)]
        command += ["--protocol", "clean", "--network", "mlp", "--surrogate", "mlp", "--rate", "1"]
        command += ["--method", "full", "--epochs", "1", "--device", device, "--seeds"]

        def train(seeds: str, out: str, start: tuple[str, str] = ("-m", "medcoreset")) -> float:
            return _seconds([sys.executable, *start, *command, seeds, "--out", f"{folder}/{out}"])

        ways = {"torch": [], "public": [], "first": [], "one": [], "ten": []}
        for attempt in range(3):
            ways["torch"].append(_seconds([sys.executable, "-c", "import torch"]))
            public = "import torch, torchvision, medmnist"
            ways["public"].append(_seconds([sys.executable, "-c", public]))
            ways["first"].append(train("0", f"first{attempt}", ("-c", FIRST_STEP)))
            ways["one"].append(train("0", f"one{attempt}"))
            ways["ten"].append(train("0,1,2,3,4,5,6,7,8,9", f"ten{attempt}"))
        seconds = {way: float(np.median(values)) for way, values in ways.items()}
        yield Row(
            "start",
            "a job to its first step; ref.: import torch",
            "s",
            seconds["first"],
            seconds["torch"],
            Goal("<=", round(seconds["torch"] + 0.4, 2), of="ours"),
        )
        yield Row(
            "start",
            "a whole job of 1 seed, 1 epoch; ref.: import torch",
            "s",
            seconds["one"],
            seconds["torch"],
        )
        yield Row(
            "start",
            "the same; ref.: imports of the public code",
            "s",
            seconds["one"],
            seconds["public"],
        )
        yield Row("start", "each further seed", "s", (seconds["ten"] - seconds["one"]) / 9)


def peak(device: str) -> Iterator[Row]:
    """Operations per second of a training step; as the reference, of a large matrix product."""
    for network, batch, batches in (("resnet18", 256, 2), ("resnet18+width=32", 256, 3)):
        counted = build(network, channels=3, classes=11, image_size=28)
        with FlopCounterMode(display=False) as counter:
            counted(torch.randn(2, 3, 28, 28)).sum().backward()
        per_image = counter.get_total_flops() / 2
        pixels, labels = images(batch * batches * (20 if device == "cuda" else 1))
        for precision in ("float32", "bf16"):
            engine = Engine(network, pixels, labels, batch, device, precision=precision)
            engine.epochs(1)
            matrix = matrix_rate(engine.arithmetic, device)
            rate = per_image * len(labels) / min(engine.epochs(1) for _ in range(2))
            matrix = max(matrix, matrix_rate(engine.arithmetic, device))
            case = f"{network}, {precision}; ref.: matrix product"
            yield Row("peak", case, "GFLOP/s", rate / 1e9, matrix / 1e9, _goal(network, device))


def _goal(network: str, device: str) -> Goal | None:
    """Return the share of the peak that a GPU should reach; a CPU's is the convolutions' own."""
    return Goal(">=", 0.35) if device == "cuda" and network == "resnet18" else None


def matrix_rate(kind: torch.dtype, device: str) -> float:
    """The best rate of a square matrix product, in operations per second."""
    size = 8192 if device == "cuda" else 2048
    a = torch.randn(size, size, device=device).to(kind)
    best = float("inf")
    for _ in range(8):
        began = clock.seconds()
        a @ a
        if device == "cuda":
            torch.cuda.synchronize()
        best = min(best, clock.seconds() - began)
    return 2 * size**3 / best


def _seconds(command: list[str]) -> float:
    now = clock.of_children()
    began = now()
    threads = {"OMP_NUM_THREADS": "1"}
    subprocess.run(command, check=True, capture_output=True, env=os.environ | threads)
    return now() - began
