"""Coresets as read for training."""

import hashlib
from pathlib import Path

import numpy as np

from medcoreset.datasets.canonical import Dataset
from medcoreset.errors import UserError
from medcoreset.training.loop import Member


def read(folder: Path, seeds: list[int], dataset: Dataset) -> list[Member]:
    """Read `folder`/seedS.npz for each seed.

    Raises `UserError` if a file is absent or broken, was selected from other data, names samples
    that the dataset does not have, or names one twice.
    """
    return [_read(folder / f"seed{seed}.npz", seed, dataset) for seed in seeds]


def whole(seeds: list[int], dataset: Dataset) -> list[Member]:
    """Return the full training set in place of a coreset."""
    everything = np.arange(len(dataset.train_labels))
    return [Member(seed, everything) for seed in seeds]


def digest(member: Member) -> str:
    """Return the SHA-256 of a coreset's indices and weights, in the order of picking."""
    found = hashlib.sha256(np.ascontiguousarray(member.indices, "<i8").tobytes())
    if member.weights is not None:
        found.update(np.ascontiguousarray(member.weights, "<f8").tobytes())
    return found.hexdigest()


def _read(path: Path, seed: int, dataset: Dataset) -> Member:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        indices, source = arrays["indices"], str(arrays["dataset_sha256"])
    except FileNotFoundError:
        raise UserError(f"coreset {path} does not exist") from None
    except (KeyError, ValueError, OSError, EOFError) as problem:
        raise UserError(f"coreset {path} is not a coreset file: {problem}") from None
    if source != dataset.sha256:
        raise UserError(
            f"coreset {path} was selected from other data (SHA-256 {source[:12]}…) "
            f"than {dataset.name} (SHA-256 {dataset.sha256[:12]}…)"
        )
    samples = len(dataset.train_labels)
    if indices.size and not (indices.min() >= 0 and indices.max() < samples):
        raise UserError(f"coreset {path} names samples outside 0 … {samples - 1}")
    if len(np.unique(indices)) != len(indices):
        raise UserError(f"coreset {path} names a sample twice")
    return Member(seed, indices.astype(np.int64), arrays.get("weights"))
