"""Our training loop, set up to be run epoch by epoch beside the reference."""

import tempfile
from pathlib import Path

import numpy as np
import torch

import clock
from medcoreset.datasets.canonical import Dataset
from medcoreset.device import arithmetic
from medcoreset.networks.factory import build
from medcoreset.recording.recorder import Recorder
from medcoreset.training.checkpoint import Checkpoint, Interruption
from medcoreset.training.data import resident
from medcoreset.training.loop import Subset, Training
from medcoreset.training.model import Model
from medcoreset.training.options import TrainingOptions
from medcoreset.training.progress import Progress


def images(samples: int, classes: int = 11, size: int = 28) -> tuple[np.ndarray, np.ndarray]:
    """Grey images of noise; the time of a step does not depend on what is in them."""
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (samples, size, size), dtype=np.uint8)
    return pixels, np.arange(samples) % classes


class Engine:
    """Trainings of one network on the same samples."""

    def __init__(
        self,
        network: str,
        pixels: np.ndarray,
        labels: np.ndarray,
        batch: int,
        device: str,
        *,
        precision: str = "auto",
        record: bool = True,
    ) -> None:
        self.network, self.record = network, record
        self.device = torch.device(device)
        held_out = (pixels[:16], labels[:16])
        dataset = Dataset("noise", pixels, labels, *held_out, *held_out, {"classes": 11})
        self.options = TrainingOptions(batch_size=batch, min_batches=1, precision=precision)
        self.data = resident(dataset, self.options, self.device)
        self.arithmetic = arithmetic(precision, self.device, self._network())

    def epochs(self, count: int) -> float:
        """Train from the start for some epochs; return the seconds of one, all things included."""
        options = TrainingOptions(**self.options.as_dict() | {"epochs": count})
        with tempfile.TemporaryDirectory() as folder:
            recorder = None
            if self.record:
                recorder = Recorder(
                    Path(folder),
                    self.data.train.labels,
                    classes=self.data.classes,
                    epochs=count,
                    probs_budget_mb=256,
                )
            training = Training(
                Model(self._network(), self.device, self.arithmetic),
                self.data,
                Subset(0, np.arange(len(self.data.train))),
                options,
                checkpoint=Checkpoint(Path(folder) / "checkpoint.pt", {}, 10**6),
                interruption=Interruption(),
                progress=Progress("benchmark"),
                recorder=recorder,
            )
            began = clock.seconds()
            training.run()
            return (clock.seconds() - began) / count

    def _network(self) -> torch.nn.Module:
        torch.manual_seed(0)
        size = self.data.image_size
        return build(self.network, channels=3, classes=self.data.classes, image_size=size)
