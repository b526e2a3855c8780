"""How fast a network trains here, by a few steps of the real loop on images made up for it."""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from medcoreset.datasets.canonical import Dataset
from medcoreset.networks.factory import build
from medcoreset.training import device as devices
from medcoreset.training.checkpoint import Checkpoint, Interruption
from medcoreset.training.data import resident
from medcoreset.training.loop import Member, Training
from medcoreset.training.options import TrainingOptions
from medcoreset.training.progress import Progress
from medcoreset.training.stack import Stack

BATCH = 32
"""Images of a step: a wide network takes seconds for it on a CPU, and the time grows with it."""
CLASSES = 10
STEPS = 2


def measure(
    network: str, *, channels: int, image_size: int, options: TrainingOptions, place: torch.device
) -> dict[str, Any]:
    """Return how many images per second `network` trains on and evaluates, and its memory.

    Images have `channels` channels and `image_size` pixels a side. `memory_mb` is the peak of the
    process, `image_memory_mb` what an image of a batch adds to it. Decoding of streamed images and
    the start of a process are not in it.
    """
    pixels = np.random.default_rng(0).integers(
        0, 256, (BATCH, image_size, image_size, *((3,) if channels == 3 else ())), np.uint8
    )
    labels = np.arange(BATCH) % CLASSES
    dataset = Dataset("speed", pixels, labels, pixels[:0], labels[:0], pixels, labels)
    options = replace(options, epochs=1, batch_size=BATCH, min_batches=1, augmentation="none")
    data = resident(dataset, options, place)
    module = build(network, channels=data.channels, classes=CLASSES, image_size=image_size)
    arithmetic = devices.arithmetic(options.precision, place, module)
    stack = Stack([module], place, arithmetic)
    before = devices.peak_memory_mb(place)
    with tempfile.TemporaryDirectory() as folder:
        timed = [_epoch(stack, data, options, Path(folder)) for _ in range(1 + STEPS)][1:]
    memory = devices.peak_memory_mb(place)
    training, evaluation = (min(seconds) for seconds in zip(*timed, strict=True))
    return {
        "network": network,
        "channels": data.channels,
        "image_size": image_size,
        "features": module.head.in_features,
        "arithmetic": str(arithmetic).removeprefix("torch."),
        "device": devices.describe(place),
        "train_images_per_second": BATCH / training,
        "evaluate_images_per_second": BATCH / evaluation,
        "memory_mb": memory,
        "image_memory_mb": (memory - before) / BATCH,
    }


def _epoch(stack: Stack, data: Any, options: TrainingOptions, folder: Path) -> tuple[float, float]:
    """Train for one epoch, which is one step, and evaluate; return the seconds of each."""
    training = Training(
        stack,
        data,
        [Member(0, np.arange(BATCH))],
        options,
        checkpoint=Checkpoint(folder / "none.pt", {}, float("inf")),
        interruption=Interruption(),
        progress=Progress("speed"),
    )
    training.run()
    return training.training_seconds, training.seconds - training.training_seconds
