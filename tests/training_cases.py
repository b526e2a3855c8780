"""Small data sets and jobs that the training tests share."""

from pathlib import Path

import numpy as np

from medcoreset.datasets import canonical
from medcoreset.datasets.canonical import Dataset
from medcoreset.training.options import TrainingOptions
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
