"""Stratified, seeded splits for sources that come without them."""

import numpy as np

from medcoreset.errors import UserError

# The split is part of what the dataset is, so it has one seed, whatever the seeds of the runs.
SPLIT_SEED = 0


def hold_out(labels: np.ndarray, fraction: float, *, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the sorted indices that stay and those held out, `fraction` of each class.

    `labels`: (N,) integers, or (N, L) with several labels per sample, which are not stratified; `name` is for error messages. Raises UserError if there are too few
    samples to be split by class; a fraction of 0 holds nothing out.
    """
    count = max(1, round(fraction * len(labels))) if fraction else 0
    return _stratified(labels, count, name=name)


def subset(labels: np.ndarray, count: int, *, name: str) -> np.ndarray:
    """Return the sorted indices of a stratified subset of `count` samples."""
    if count > len(labels):
        raise UserError(f"dataset {name}: train={count}, but there are {len(labels)} samples")
    if count == len(labels):
        return np.arange(count)
    return _stratified(labels, count, name=name)[1]


def _stratified(labels: np.ndarray, count: int, *, name: str) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.model_selection import train_test_split

    by = labels if labels.ndim == 1 else None
    if count == 0:
        return np.arange(len(labels)), np.arange(0)
    try:
        rest, taken = train_test_split(
            np.arange(len(labels)), test_size=count, stratify=by, random_state=SPLIT_SEED
        )
    except ValueError as error:
        raise UserError(f"dataset {name}: cannot split by class: {error}") from error
    return np.sort(rest), np.sort(taken)
