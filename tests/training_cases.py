"""Small data sets and jobs that the training tests share."""

from pathlib import Path

import numpy as np
import torch

from medcoreset.datasets import canonical
from medcoreset.datasets.canonical import Dataset
from medcoreset.device import arithmetic
from medcoreset.networks.factory import build
from medcoreset.recording.recorder import Recorder
from medcoreset.training.checkpoint import Checkpoint, Interruption
from medcoreset.training.data import resident
from medcoreset.training.group import ALONE, Group
from medcoreset.training.loop import Subset, Training
from medcoreset.training.model import Model
from medcoreset.training.options import TrainingOptions
from medcoreset.training.progress import Progress
from medcoreset.training.run import Job


def digits(train: int = 300, held_out: int = 100) -> Dataset:
    """The bundled 8×8 digits, cut to a size that trains in a moment."""
    from sklearn.datasets import load_digits

    source = load_digits()
    images, labels = (source.images * 15).astype(np.uint8), source.target.astype(np.int64)
    stops = np.cumsum([train, held_out, held_out])
    parts = [(images[a:b], labels[a:b]) for a, b in zip([0, *stops], stops, strict=False)]
    return Dataset("digits", *parts[0], *parts[1], *parts[2], {})


def job(folder: Path, dataset: Dataset, *, network: str = "mlp+width=16", **options) -> Job:
    """A job on the CPU with one thread, its dataset written into `folder`."""
    canonical.write(dataset, folder / "data.npz")
    settings = {"epochs": 3, "channels": 0, "precision": "float32", "batch_size": 64} | options
    return Job(
        dataset=folder / "data.npz",
        network=network,
        options=TrainingOptions(**settings),
        out=folder / "out",
        device="cpu",
        checkpoint_seconds=0,
    )


def training(
    folder: Path,
    device: str,
    network: str = "resnet18+width=4",
    group: Group = ALONE,
    **options,
) -> Training:
    """A surrogate's training that has not begun, of 5 steps an epoch, the last of them short."""
    dataset, place = digits(), torch.device(device)
    settings = {"epochs": 8, "channels": 0, "batch_size": 64, "last_batch": "keep"} | options
    chosen = TrainingOptions(**settings)
    data = resident(dataset, chosen, place)
    torch.manual_seed(0)
    module = build(network, channels=data.channels, classes=10, image_size=data.image_size)
    recorder = Recorder(folder, data.train.labels, classes=10, epochs=8, probs_budget_mb=10)
    return Training(
        Model(module, place, arithmetic(chosen.precision, place, module)),
        data,
        Subset(0, np.arange(len(dataset.train_labels)), surrogate=True),
        chosen,
        checkpoint=Checkpoint(folder / "none.pt", {}, float("inf")),
        interruption=Interruption(),
        progress=Progress("digits"),
        recorder=recorder,
        group=group,
    )


def coresets(folder: Path, dataset: Dataset, seeds: list[int], size: int, **more) -> Path:
    """Random coresets, one file per seed."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        random = np.random.default_rng(seed)
        indices = random.permutation(len(dataset.train_labels))[:size]
        arrays = {"indices": indices, "dataset_sha256": dataset.sha256} | more
        np.savez(folder / f"seed{seed}.npz", **arrays)
    return folder


def content(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, without what is measured in metrics.json."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            data = path.read_bytes()
            if path.name == "metrics.json":
                import json

                metrics = json.loads(data)
                del metrics["measured"]
                data = json.dumps(metrics).encode()
            found[str(path.relative_to(folder))] = data
    return found
