"""Coresets as read for training, and what is trained on where there is none."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from medcoreset.datasets.canonical import Dataset
from medcoreset.errors import UserError
from medcoreset.provenance import check_recipe
from medcoreset.seeding import generator
from medcoreset.selection.coreset import coreset_digest, read_coreset
from medcoreset.selection.selection import check_indices, check_weights
from medcoreset.training.draw import Draw, Redrawn
from medcoreset.training.loop import Subset


def read(folder: Path, seeds: list[int], dataset: Dataset, recipe: str = "") -> list[Subset]:
    """Read `folder`/seedS.npz for each seed.

    Raises `UserError` if a file is absent or broken, was selected from other data or made by another
    recipe, where one is expected, names no sample, one that the dataset does not have or one twice,
    or has weights that cannot weight.
    """
    return [_read(folder / f"seed{seed}.npz", seed, dataset, recipe) for seed in seeds]


def whole(seeds: list[int], dataset: Dataset) -> list[Subset]:
    """Return the full training set in place of a coreset."""
    everything = np.arange(len(dataset.train_labels))
    return [Subset(seed, everything) for seed in seeds]


def half(seed: int, which: int, dataset: Dataset) -> Subset:
    """Return one of two halves of the training set, 1 or 2, for a surrogate of that seed.

    The seed shuffles the samples; of an odd number the first half has one more.
    """
    samples = len(dataset.train_labels)
    order = generator(seed, "halves").permutation(samples)
    middle = (samples + 1) // 2
    indices = np.sort(order[:middle] if which == 1 else order[middle:])
    return Subset(seed, indices, surrogate=True, half=which)


def drawn(draw: Draw, seeds: list[int], dataset: Dataset) -> list[Subset]:
    """Return what is drawn anew in every epoch in place of a coreset."""
    everything = whole(seeds, dataset)
    labels = np.asarray(dataset.train_labels)
    return [replace(each, redrawn=Redrawn(draw, labels, each.seed)) for each in everything]


def digest(subset: Subset) -> str:
    """Return the SHA-256 of a coreset's indices and weights, in the order of picking."""
    return coreset_digest(subset.indices, subset.weights)


def _read(path: Path, seed: int, dataset: Dataset, recipe: str) -> Subset:
    found = read_coreset(path)
    check_recipe(path, found.recipe, recipe)
    if found.dataset_sha256 != dataset.sha256:
        raise UserError(
            f"coreset {path} was selected from other data (SHA-256 {found.dataset_sha256[:12]}…) "
            f"than {dataset.name} (SHA-256 {dataset.sha256[:12]}…)"
        )
    check_indices(f"coreset {path}", found.indices, len(dataset.train_labels))
    if found.weights is not None:
        check_weights(f"coreset {path}", found.weights, len(found.indices))
    return Subset(seed, found.indices.astype(np.int64), found.weights)
