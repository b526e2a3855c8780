"""Coresets as read for training."""

import hashlib
from pathlib import Path

import numpy as np

from medcoreset.datasets.canonical import Dataset
from medcoreset.errors import UserError
from medcoreset.reading import read_npz
from medcoreset.training.loop import Member

WHAT = "a coreset, an .npz file of indices and the data's SHA-256"


def read(folder: Path, seeds: list[int], dataset: Dataset) -> list[Member]:
    """Read `folder`/seedS.npz for each seed.

    Raises `UserError` if a file is absent or broken, was selected from other data, names no sample,
    one that the dataset does not have or one twice, or has weights that cannot weight.
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
    arrays = read_npz(path, WHAT)
    if missing := {"indices", "dataset_sha256"} - set(arrays):
        raise UserError(f"{path} is not {WHAT}: it has no {', '.join(sorted(missing))}")
    source = str(arrays["dataset_sha256"])
    if source != dataset.sha256:
        raise UserError(
            f"coreset {path} was selected from other data (SHA-256 {source[:12]}…) "
            f"than {dataset.name} (SHA-256 {dataset.sha256[:12]}…)"
        )
    indices = _indices(f"coreset {path}", arrays["indices"], len(dataset.train_labels))
    if "weights" not in arrays:
        return Member(seed, indices)
    return Member(seed, indices, _weights(f"coreset {path}", arrays["weights"], len(indices)))


def _indices(where: str, array: np.ndarray, samples: int) -> np.ndarray:
    """Return indices, int64 (M,), if they are those of distinct samples, else raise UserError."""
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise UserError(
            f"{where}: indices is {array.dtype} {array.shape}, but it is to be integers (M,)"
        )
    if not array.size:
        raise UserError(f"{where} names no sample: indices is empty")
    outside = np.flatnonzero((array < 0) | (array >= samples))
    if outside.size:
        raise UserError(
            f"{where} names samples outside 0 … {samples - 1}: indices[{outside[0]}] is "
            f"{array[outside[0]]}"
        )
    if len(np.unique(array)) != len(array):
        raise UserError(f"{where} names a sample twice")
    return array.astype(np.int64)


def _weights(where: str, array: np.ndarray, count: int) -> np.ndarray:
    """Return weights (M,) if they are from 0 to what float32 holds, and not all 0, else UserError."""
    if array.shape != (count,) or array.dtype.kind not in "fiu":
        raise UserError(
            f"{where}: weights is {array.dtype} {array.shape}, but it is to be numbers, one for "
            f"each of the {count} indices"
        )
    wrong = np.flatnonzero(~((array >= 0) & (array <= np.finfo(np.float32).max)))
    if wrong.size:
        raise UserError(
            f"{where}: weights[{wrong[0]}] is {array[wrong[0]]:g}, but it is to be 0 or more, and finite"
        )
    if not array.any():
        raise UserError(f"{where}: all weights are 0")
    return array
