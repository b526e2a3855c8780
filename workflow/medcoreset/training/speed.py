"""How fast a network trains here, by a few steps of the real loop on images made up for it."""

import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from medcoreset import device as devices
from medcoreset.datasets.canonical import Dataset
from medcoreset.networks import dimensions_of
from medcoreset.networks.factory import build
from medcoreset.training.checkpoint import Checkpoint, Interruption
from medcoreset.training.data import Data, resident
from medcoreset.training.loop import Subset, Training
from medcoreset.training.model import Model
from medcoreset.training.options import TrainingOptions
from medcoreset.training.progress import Progress

BATCH = 32
"""Images of a step: a wide network takes seconds for it on a CPU, and the time grows with it."""
VOLUMES = 4
"""Volumes of a step, for which each takes as much memory as dozens of images."""
CLASSES = 10
STEPS = 3


def measure(
    network: str, *, channels: int, image_size: int, options: TrainingOptions, place: torch.device
) -> dict[str, Any]:
    """Return how many images per second `network` trains on and evaluates, and its memory.

    Images, or volumes if the network is for these, have `channels` channels and `image_size` pixels a side. A training takes `memory_mb`, and
    `image_memory_mb` for each image of a batch, both by the peaks of two sizes of a batch. Decoding
    of streamed images is in none of it. `start_seconds` is what this process has computed before.
    """
    start = time.process_time()
    dimensions = dimensions_of(network)
    batch = BATCH if dimensions == 2 else VOLUMES
    # Volumes are grey: three channels are what their grey is repeated to.
    colour = channels == 3 and dimensions == 2
    shape = (batch, *(image_size,) * dimensions, *(3,) * colour)
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    labels = np.arange(batch) % CLASSES
    dataset = Dataset("speed", pixels, labels, pixels[:0], labels[:0], pixels, labels)
    options = replace(
        options,
        epochs=1,
        batch_size=BATCH,
        min_batches=1,
        augmentation="none",
        channels=channels,
    )
    data = resident(dataset, options, place)
    module = build(network, **data.shape)
    arithmetic = devices.arithmetic(options.precision, place, module)
    model = Model(module, place, arithmetic)
    with tempfile.TemporaryDirectory() as folder:
        _epoch(model, data, options, batch // 2, Path(folder))
        half = devices.peak_memory_mb(place)
        timed = [_epoch(model, data, options, batch, Path(folder)) for _ in range(STEPS)]
    image_memory = (devices.peak_memory_mb(place) - half) / (batch - batch // 2)
    training, evaluation = (min(seconds) for seconds in zip(*timed, strict=True))
    return {
        "network": network,
        "channels": data.channels,
        "image_size": image_size,
        "features": module.head.in_features,
        "arithmetic": str(arithmetic).removeprefix("torch."),
        "device": devices.describe(place),
        "train_images_per_second": batch / training,
        "evaluate_images_per_second": batch / evaluation,
        "start_seconds": start,
        "memory_mb": half - batch // 2 * image_memory,
        "image_memory_mb": image_memory,
    }


def _epoch(
    model: Model, data: Data, options: TrainingOptions, samples: int, folder: Path
) -> tuple[float, float]:
    """Train for one epoch, which is one step, and predict; return the seconds of each."""
    training = Training(
        model,
        data,
        Subset(0, np.arange(samples)),
        options,
        checkpoint=Checkpoint(folder / "none.pt", {}, float("inf")),
        interruption=Interruption(),
        progress=Progress("speed"),
    )
    training.run()
    began = time.perf_counter()
    training.predict(data.test)[1].cpu()
    return training.training_seconds, time.perf_counter() - began
