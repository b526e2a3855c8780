"""Training speed: our loop against the reference, interleaved; cost of recording."""

import statistics
from collections.abc import Iterator

import torch

from engine import Engine, images
from medcoreset.networks.factory import build
from reference import Reference
from table import Goal, Row

# network, batch, batches of a measurement
CASES = (
    ("resnet18", 256, 2),
    ("resnet18+width=32", 256, 3),
    ("resnet18+width=16", 256, 4),
    ("resnet18+width=8", 256, 6),
    ("resnet18+width=8", 64, 12),
    ("lenet", 64, 60),
    ("mlp", 64, 100),
    ("mobilenet_v2", 256, 2),
)
NARROW = ("width=8", "width=16", "lenet", "mlp")
"""Networks whose arithmetic is so little that the loop around it counts."""
GPU_FACTOR = 20
"""A GPU is so much faster that its measurements need more batches."""


def against_reference(device: str, rounds: int) -> Iterator[Row]:
    """Samples per second of both loops, in turn: the median of `rounds` measurements each."""
    for network, batch, batches in CASES:
        pixels, labels = images(batch * batches * (GPU_FACTOR if device == "cuda" else 1))
        torch.manual_seed(0)
        plain = build(network, channels=3, classes=11, image_size=28)
        reference = Reference(plain, pixels, labels, batch, device)
        engines = {
            precision: Engine(network, pixels, labels, batch, device, precision=precision)
            for precision in ("float32", "auto")
        }
        seconds: dict[str, list[float]] = {"reference": [], "float32": [], "auto": []}
        for attempt in range(rounds + 1):
            found = {"reference": reference.epoch()}
            found |= {precision: engine.epochs(1) for precision, engine in engines.items()}
            if attempt:  # the first round warms up
                for way, value in found.items():
                    seconds[way].append(value)
        rate = {way: len(labels) / statistics.median(values) for way, values in seconds.items()}
        for precision, engine in engines.items():
            case = f"{network}, batch {batch}, {str(engine.arithmetic).removeprefix('torch.')}"
            if precision == "float32" or engine.arithmetic != torch.float32:
                found = goal(network, engine.arithmetic, device)
                yield Row("step", case, "images/s", rate[precision], rate["reference"], found)


def goal(network: str, arithmetic: torch.dtype, device: str) -> Goal:
    """Return how much faster than the plain loop a step should be."""
    narrow = not {*network.split("+")}.isdisjoint(NARROW)
    if device == "cuda":
        return Goal(">=", 20 if narrow else 8)
    if narrow:
        return Goal(">=", 2)
    return Goal(">=", 2.6 if arithmetic == torch.bfloat16 else 1.5)


def recording(device: str, rounds: int) -> Iterator[Row]:
    """Seconds of an epoch with the dynamics recorded, and (as the reference) without."""
    for network, batch, batches in (("lenet", 64, 60), ("resnet18+width=8", 256, 6)):
        pixels, labels = images(batch * batches)
        ways = [
            Engine(network, pixels, labels, batch, device, record=record)
            for record in (True, False)
        ]
        seconds = [[way.epochs(2) for way in ways] for _ in range(rounds + 1)][1:]
        ours, without = (statistics.median(column) for column in zip(*seconds, strict=True))
        yield Row(
            "recording", f"{network}, batch {batch}", "s/epoch", ours, without, Goal("<=", 1.03)
        )
