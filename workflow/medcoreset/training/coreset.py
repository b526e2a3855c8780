"""Coresets as read for training."""

from pathlib import Path

import numpy as np

from medcoreset.datasets.canonical import Dataset
from medcoreset.errors import UserError
from medcoreset.provenance import check_recipe
from medcoreset.selection.files import coreset_digest, read_coreset
from medcoreset.training.loop import Member


def read(folder: Path, seeds: list[int], dataset: Dataset, recipe: str = "") -> list[Member]:
    """Read `folder`/seedS.npz for each seed.

    Raises `UserError` if a file is absent or broken, was selected from other data, names samples
    that the dataset does not have, or names one twice; or if it was made by another recipe, where
    one is expected.
    """
    return [_read(folder / f"seed{seed}.npz", seed, dataset, recipe) for seed in seeds]


def whole(seeds: list[int], dataset: Dataset) -> list[Member]:
    """Return the full training set in place of a coreset."""
    everything = np.arange(len(dataset.train_labels))
    return [Member(seed, everything) for seed in seeds]


def digest(member: Member) -> str:
    """Return the SHA-256 of a coreset's indices and weights, in the order of picking."""
    return coreset_digest(member.indices, member.weights)


def _read(path: Path, seed: int, dataset: Dataset, recipe: str) -> Member:
    found = read_coreset(path)
    check_recipe(path, found.recipe, recipe)
    indices = found.indices
    if found.dataset_sha256 != dataset.sha256:
        raise UserError(
            f"coreset {path} was selected from other data (SHA-256 {found.dataset_sha256[:12]}…) "
            f"than {dataset.name} (SHA-256 {dataset.sha256[:12]}…)"
        )
    samples = len(dataset.train_labels)
    if indices.size and not (indices.min() >= 0 and indices.max() < samples):
        raise UserError(f"coreset {path} names samples outside 0 … {samples - 1}")
    if len(np.unique(indices)) != len(indices):
        raise UserError(f"coreset {path} names a sample twice")
    return Member(seed, indices.astype(np.int64), found.weights)
