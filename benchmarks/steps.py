"""Training speed: our loop against the reference, interleaved; cost of recording."""

import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

import clock
import medcoreset
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
    """Seconds of an epoch with the dynamics recorded, and (as the reference) without.

    In our training, and by three lines in a plain loop.
    """
    for network, batch, batches in (("lenet", 64, 60), ("resnet18+width=8", 256, 6)):
        pixels, labels = images(batch * batches)
        ways = [
            Engine(network, pixels, labels, batch, device, record=record)
            for record in (True, False)
        ]
        loops = [
            PlainLoop(network, pixels, labels, batch, device, record) for record in (True, False)
        ]
        for case, timed in (
            ("", [lambda way=way: way.epochs(2) for way in ways]),
            ("plain loop, ", [lambda loop=loop: loop.epochs(2) for loop in loops]),
        ):
            seconds = [[epochs() for epochs in timed] for _ in range(rounds + 1)][1:]
            ours, without = (statistics.median(column) for column in zip(*seconds, strict=True))
            yield Row(
                "recording",
                f"{case}{network}, batch {batch}",
                "s/epoch",
                ours,
                without,
                Goal("<=", 1.03),
            )


class PlainLoop:
    """A training loop of one's own, on tensors that are on the device, recorded or not."""

    def __init__(
        self,
        network: str,
        pixels: np.ndarray,
        labels: np.ndarray,
        batch: int,
        device: str,
        record: bool,
    ) -> None:
        torch.manual_seed(0)
        self.network = build(network, channels=1, classes=11, image_size=28).to(device)
        self.images = (torch.from_numpy(pixels)[:, None] / 127.5 - 1).to(device)
        self.labels, self.batch, self.record = torch.from_numpy(labels).to(device), batch, record
        self.optimizer = torch.optim.SGD(self.network.parameters(), lr=0.1, momentum=0.9)

    def epochs(self, count: int) -> float:
        """Train for some epochs; return the seconds of one."""
        with tempfile.TemporaryDirectory() as folder:
            recorder = None
            if self.record:
                recorder = medcoreset.Recorder(Path(folder) / "dynamics", self.labels, 11)
            began = clock.seconds()
            for _ in range(count):
                for indices in torch.randperm(len(self.labels)).split(self.batch):
                    indices = indices.to(self.labels.device)
                    logits = self.network(self.images[indices])
                    loss = functional.cross_entropy(logits, self.labels[indices])
                    self.optimizer.zero_grad()
                    loss.backward()
                    self.optimizer.step()
                    if recorder:
                        recorder.record(indices, logits)
                if recorder:
                    recorder.end_epoch()
            if self.labels.is_cuda:
                torch.cuda.synchronize()
            return (clock.seconds() - began) / count
