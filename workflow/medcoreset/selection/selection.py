"""A coreset, and the file of one."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from medcoreset.atomic import write_npz
from medcoreset.errors import UserError
from medcoreset.reading import file_of, read_npz

WHAT = "a coreset, an .npz file of indices"

NAMES = ("paths", "sample_ids", "source_indices", "indices")
"""What a sample may be called, the most telling first."""
ARRAYS = ("indices", "scores", "weights", "sample_ids", "source_indices", "paths")
"""The arrays of a file, of which the first is always there."""


@dataclass(frozen=True)
class Selection:
    """A coreset of M of N samples, the method that selected it, and all options of that.

    `indices` int64 (M,) are distinct, in the order of picking; `scores` float64 (N,) are the raw values of
    the method's definition, None if it does not rank; `weights` float64 (M,) are for the loss of the
    picked samples, None if the method gives none.

    `indices` count the samples as the evidence has them. What else they are called is there as far as
    it is known, (M,) each: `sample_ids`, integers or str, from evidence that has them; of a coreset of
    the pipeline `source_indices` int64, the places in the official training set or, of a folder, in its
    sorted files of sorted classes; and `paths`, str, of the files below `root`.
    """

    method: str
    options: dict[str, Any]
    indices: np.ndarray
    scores: np.ndarray | None = None
    weights: np.ndarray | None = None
    sample_ids: np.ndarray | None = None
    source_indices: np.ndarray | None = None
    paths: np.ndarray | None = None
    root: str = ""

    def save(self, path: str | Path, **more: str) -> None:
        """Write the `.npz` file that `medcoreset select` writes, without pickles, whole or not at all.

        It holds those of `ARRAYS` that there are, `method`, `options` (JSON), `root` if there are
        `paths`, and the texts of `more`. Raises UserError if nothing can be written there.
        """
        there = {name: getattr(self, name) for name in ARRAYS if getattr(self, name) is not None}
        if self.paths is not None:
            more["root"] = self.root
        write_npz(path, **there, **described(self.method, self.options, **more))

    def names(self) -> np.ndarray:
        """Return what the picked samples are called, (M,): the first of `NAMES` that is there."""
        return next(found for name in NAMES if (found := getattr(self, name)) is not None)


def led_back(
    selection: Selection, source: np.ndarray, paths: np.ndarray | None, root: str
) -> Selection:
    """Return the coreset with the places, (N,) of all samples, that `canonical.load_source` returns."""
    picked = selection.indices
    files: dict[str, Any] = {} if paths is None else {"paths": paths[picked], "root": root}
    return replace(selection, source_indices=source[picked], **files)


def load_coreset(path: str | Path) -> Selection:
    """Return the coreset in a file of the pipeline (`seed0.npz`) or of `Selection.save`.

    A file that names no method, as one written by hand, has the method "" and no options. Raises
    UserError for another file, indices that are no distinct integers of at least 0, weights that are
    not finite, below 0, or not one for each of the indices, and names that are not one for each.
    """
    arrays = read_npz(path, WHAT)
    if "indices" not in arrays:
        raise UserError(f"{path} is not {WHAT}: it has no indices")
    indices, weights = arrays["indices"], arrays.get("weights")
    check_indices(f"coreset {path}", indices)
    if weights is not None:
        check_weights(f"coreset {path}", weights, len(indices))
    for name in NAMES[:-1]:
        if name in arrays and arrays[name].shape != indices.shape:
            raise UserError(
                f"coreset {path}: {name} is {arrays[name].shape}, but it is to be {indices.shape}"
            )
    with file_of(path, WHAT):
        options = json.loads(str(arrays.get("options", "{}")))
    method = str(arrays.get("method", ""))
    found: dict[str, Any] = {name: arrays.get(name) for name in ARRAYS} | {
        "indices": indices.astype(np.int64)
    }
    return Selection(method, options, **found, root=str(arrays.get("root", "")))


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
