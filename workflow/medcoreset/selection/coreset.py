"""The file of a coreset as it is read back; what selects it is elsewhere."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medcoreset.errors import UserError
from medcoreset.reading import read_npz


@dataclass(frozen=True)
class Coreset:
    """A coreset as its file has it: indices (M,), weights (M,) or None, and what it was made from."""

    indices: np.ndarray
    weights: np.ndarray | None
    dataset_sha256: str
    recipe: str

    @property
    def sha256(self) -> str:
        """Return the SHA-256 of indices and weights, in the order of picking."""
        return coreset_digest(self.indices, self.weights)


def coreset_digest(indices: np.ndarray, weights: np.ndarray | None) -> str:
    """Return the SHA-256 of a coreset's indices and weights, in the order of picking."""
    found = hashlib.sha256(np.ascontiguousarray(indices, "<i8").tobytes())
    if weights is not None:
        found.update(np.ascontiguousarray(weights, "<f8").tobytes())
    return found.hexdigest()


def read_coreset(path: str | Path) -> Coreset:
    """Return the coreset that `write_coresets` wrote for a seed; UserError if it is no such file."""
    what = "a coreset, an .npz file of indices and the data's SHA-256"
    arrays = read_npz(path, what)
    if missing := [name for name in ("indices", "dataset_sha256") if name not in arrays]:
        raise UserError(f"{path} is not {what}: it has no {', '.join(missing)}")
    # One that was written by hand has no recipe.
    texts = {name: str(arrays.get(name, "")) for name in ("dataset_sha256", "recipe")}
    return Coreset(arrays["indices"], arrays.get("weights"), **texts)
