"""A coreset, and the file of one."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medcoreset.atomic import write_npz
from medcoreset.errors import UserError
from medcoreset.reading import file_of, read_npz

WHAT = "a coreset, an .npz file of indices"


@dataclass(frozen=True)
class Selection:
    """A coreset of M of N samples, the method that selected it, and all options of that.

    `indices` int64 (M,) are distinct, in the order of picking; `scores` float64 (N,) are the raw values of
    the method's definition, None if it does not rank; `weights` float64 (M,) are for the loss of the
    picked samples, None if the method gives none.
    """

    method: str
    options: dict[str, Any]
    indices: np.ndarray
    scores: np.ndarray | None = None
    weights: np.ndarray | None = None

    def save(self, path: str | Path, **more: str) -> None:
        """Write the `.npz` file that `medcoreset select` writes, without pickles, whole or not at all.

        It holds `indices`, `scores` and `weights` where there are any, `method`, `options` (JSON), and
        the texts of `more`. Raises UserError if nothing can be written there.
        """
        arrays = {"indices": self.indices, "scores": self.scores, "weights": self.weights}
        there = {name: array for name, array in arrays.items() if array is not None}
        write_npz(path, **there, **described(self.method, self.options, **more))


def load_coreset(path: str | Path) -> Selection:
    """Return the coreset in a file of the pipeline (`seed0.npz`) or of `Selection.save`.

    A file that names no method, as one written by hand, has the method "" and no options. Raises
    UserError for another file, indices that are no distinct integers of at least 0, or weights that are
    not finite, below 0, or not one for each of the indices.
    """
    arrays = read_npz(path, WHAT)
    if "indices" not in arrays:
        raise UserError(f"{path} is not {WHAT}: it has no indices")
    indices, weights = arrays["indices"], arrays.get("weights")
    check_indices(f"coreset {path}", indices)
    if weights is not None:
        check_weights(f"coreset {path}", weights, len(indices))
    with file_of(path, WHAT):
        options = json.loads(str(arrays.get("options", "{}")))
    method = str(arrays.get("method", ""))
    return Selection(method, options, indices.astype(np.int64), arrays.get("scores"), weights)


def check_indices(where: str, array: np.ndarray, samples: int | None = None) -> None:
    """Raise UserError unless indices (M,) are those of distinct samples, of so many if that is known."""
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise UserError(
            f"{where}: indices is {array.dtype} {array.shape}, but it is to be integers (M,)"
        )
    if not array.size:
        raise UserError(f"{where} names no sample: indices is empty")
    outside = np.flatnonzero((array < 0) | (array >= (np.inf if samples is None else samples)))
    if outside.size:
        raise UserError(
            f"{where} names samples outside 0 … {'' if samples is None else samples - 1}: "
            f"indices[{outside[0]}] is {array[outside[0]]}"
        )
    if len(np.unique(array)) != len(array):
        raise UserError(f"{where} names a sample twice")


def check_weights(where: str, array: np.ndarray, count: int) -> None:
    """Raise UserError unless weights (M,) are from 0 to what float32 holds, and not all 0."""
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


def described(method: str, options: Mapping[str, Any], **more: str) -> dict[str, np.ndarray]:
    """Return what a file says of its method, as arrays of text."""
    texts = {"method": method, "options": as_json(options), **more}
    return {name: np.array(text) for name, text in texts.items()}


def as_json(options: Mapping[str, Any]) -> str:
    """Return options as JSON, equal text for equal options."""
    return json.dumps(dict(options), sort_keys=True)
