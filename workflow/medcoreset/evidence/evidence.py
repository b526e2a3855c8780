"""Evidence about the training samples: read lazily, checked, and completed from what there is."""

import copy
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from medcoreset.errors import UserError, say
from medcoreset.evidence import checks
from medcoreset.evidence.alignment import ENOUGH, by_chance
from medcoreset.evidence.arrays import ARRAYS, RECIPES, follows
from medcoreset.evidence.statistics import STATISTICS, sigmoid, softmax
from medcoreset.provenance import check_file, sealed_files
from medcoreset.reading import file_of, map_npy, open_npz

if TYPE_CHECKING:
    from torch import Tensor

Missing = Literal["masked", "zero"]

# Values of the dynamics in memory at a time, whatever N, T and C are: as many as a cache holds, since
# each is gone through a few times.
BLOCK = 2**20

EVIDENCE = "evidence, an .npz file or a folder of .npy files without pickles"
AN_ARRAY = "an array without pickles"


class Evidence:
    """What methods look at, about N samples.

    `evidence[name]` is one of the arrays of `ARRAYS`, whole; `over_epochs` streams the per-epoch
    statistics, which are derived from `probs` or `log_probs` if they are not there themselves.
    Arrays in memory are checked when they arrive, memory-mapped ones where they are read, block by
    block: what is used is checked once, and what is not used is not read.

    `missing` says what a statistic is in an epoch that did not record the sample: `masked` leaves
    the epoch out for that sample; `zero` scores it 0, as EVA's authors do.

    `device` (`auto`, `cpu` or `cuda`) and `threads` (None: torch's own number) say on what methods
    compute with tensors of it.
    """

    def __init__(
        self,
        arrays: Mapping[str, np.ndarray],
        *,
        name: str = "evidence",
        missing: Missing = "masked",
        device: str = "auto",
        threads: int | None = None,
    ) -> None:
        self.name = name
        self.missing = missing
        self.device = device
        self.threads = threads
        self._arrays = {key: array for key, array in arrays.items() if key in ARRAYS}
        self._sizes = checks.sizes(name, self._arrays)
        self._rows: np.ndarray | None = None
        # Files and their digests, which are compared once, where an array is first read.
        self._sealed: dict[str, tuple[Path, str]] = {}
        self._asked = False
        checks.indices(name, self._arrays, self._sizes)
        self._unknown = [key for key in arrays if key not in ARRAYS]
        self._checked = {key for key, array in self._arrays.items() if not _is_mapped(array)}
        for key in self._checked:
            self._check_whole(key)

    @classmethod
    def load(
        cls, *paths: str | os.PathLike[str], name: str | None = None, **how: Any
    ) -> "Evidence":
        """Return the evidence in `.npz` files and in folders of `.npy` files (memory-mapped).

        `how` is as for `Evidence`. Raises UserError if a path is neither, or holds something that
        evidence cannot be.
        """
        arrays: dict[str, np.ndarray] = {}
        unknown: list[str] = []
        sealed: dict[str, tuple[Path, str]] = {}
        for path in map(Path, paths):
            found, others = _read_folder(path) if path.is_dir() else _read_npz(path)
            if not found:
                raise UserError(
                    f"{path} holds no evidence, but {', '.join(others[:5]) or 'nothing'} "
                    f"(known arrays: {', '.join(ARRAYS)})"
                )
            arrays |= found
            sealed |= {
                Path(file).stem: (path / file, sha256)
                for file, sha256 in sealed_files(path).items()
            }
            unknown += others
        # Read at once, all others where they are used.
        for key in ("labels", "val_labels", "preselected"):
            if key in sealed:
                check_file(*sealed.pop(key))
        evidence = cls(arrays, name=name or str(paths[0]), **how)
        evidence._sealed = sealed
        evidence._unknown = unknown
        return evidence

    def __len__(self) -> int:
        """Return N."""
        if self._rows is not None:
            return len(self._rows)
        if "N" not in self._sizes:
            raise self._lacks("labels")
        return self._sizes["N"]

    @property
    def share(self) -> float:
        """Return n / N, of the whole evidence's N samples; 1 unless this is a part of it."""
        return len(self) / self._sizes["N"]

    @property
    def classes(self) -> int:
        """Return C, or one more than the highest label if no array has it as a dimension."""
        if "C" in self._sizes:
            return self._sizes["C"]
        self.require("labels")
        return int(self._arrays["labels"].max()) + 1

    @property
    def multilabel(self) -> bool:
        """Whether there are several labels per sample: rows (C,) of 0 and 1."""
        return "labels" in self._arrays and self._arrays["labels"].ndim == 2

    @property
    def epochs(self) -> int:
        """Return T, the number of epochs of the training dynamics."""
        if "T" not in self._sizes:
            raise self._lacks("error_norm")
        return self._sizes["T"]

    @property
    def preselected(self) -> np.ndarray:
        """Return the indices that are in the coreset from the start, int64 (P,), P ≥ 0."""
        return self.positions(np.asarray(self._arrays.get("preselected", ()), dtype=np.int64))

    def positions(self, samples: np.ndarray) -> np.ndarray:
        """Return where `samples`, numbered as in the whole evidence, are in this part of it.

        Those that are not in this part are left out. Raises UserError for a number of no sample.
        """
        samples = np.asarray(samples, dtype=np.int64)
        total = self._sizes["N"] if samples.size else 0
        wrong = samples[(samples < 0) | (samples >= total)]
        if wrong.size:
            raise UserError(
                f"{self.name}: there is no sample {wrong[0]}, they are 0 to {total - 1}"
            )
        if self._rows is None:
            return samples
        position = np.full(self._sizes["N"], -1)
        position[self._rows] = np.arange(len(self._rows))
        return position[samples][position[samples] >= 0]

    def given(self, name: str) -> bool:
        """Return whether the array itself is there."""
        return name in self._arrays

    def has(self, name: str) -> bool:
        """Return whether the array is there, or follows from what is there."""
        return follows(name, self._arrays)

    def require(self, *names: str) -> None:
        """Raise a UserError that names the first array which is not there and does not follow."""
        for name in names:
            if not self.has(name):
                raise self._lacks(name)

    def check_labels(self, labels: np.ndarray) -> None:
        """Raise a UserError unless this is about samples with these labels, int (N,)."""
        if len(self) != len(labels) or not np.array_equal(self["labels"], labels):
            raise UserError(
                f"the evidence is not about the training samples of {self.name}: labels differ"
            )

    def __getitem__(self, name: str) -> np.ndarray:
        """Return an array whole; labels as int64, `final_probs` from `logits` if need be."""
        if name == "preselected":
            return self.preselected
        if name in self._arrays:
            array = self._of_samples(name)
            if name not in self._checked:
                self._check_whole(name)
                self._checked.add(name)
            return array.astype(np.int64) if name == "labels" else array
        if name == "final_probs" and "logits" in self._arrays:
            return (sigmoid if self.multilabel else softmax)(self["logits"])
        raise self._lacks(name)

    def tensor(self, name: str) -> "Tensor":
        """Return an array whole, float64, on the device on which methods compute.

        It is a copy, which may be changed. Raises UserError if there is no such device.
        """
        # Here, since most methods do without torch, which takes seconds to start.
        import torch

        from medcoreset.device import resolve

        device = resolve(self.device, self.threads)
        return torch.as_tensor(np.array(self[name], dtype=np.float64), device=device)

    def take(self, indices: np.ndarray) -> "Evidence":
        """Return the evidence about the samples `indices` alone, int (n,), numbered 0 … n−1.

        Nothing is copied before it is read. Validation arrays stay whole; of `preselected`, those
        among `indices` remain.
        """
        part = copy.copy(self)
        indices = np.asarray(indices)
        part._rows = indices if self._rows is None else self._rows[indices]
        part._checked = set(self._checked)
        return part

    def over_epochs(
        self,
        statistic: str,
        reduce: Callable[[np.ndarray], np.ndarray],
        start: int = 0,
        stop: int | None = None,
    ) -> np.ndarray:
        """Return `reduce` of a per-epoch statistic in epochs [start, stop), (N,), numbers as float64.

        `reduce` maps values (K, B) of B samples, or `probs` (K, B, C), to (B,); it is called for one
        block of samples after the other, so that memory stays bounded. Epochs are 0-based here. A value that was not
        recorded is NaN, or 0 under `missing: zero` (but `correct`, which is no score, stays NaN). A
        block is of the type that it was saved in, or float32 where that has no NaN and needs one.
        """
        self.require(statistic)
        self._ask_about_order(statistic)
        epochs = slice(start, self.epochs if stop is None else stop)
        found = np.concatenate(
            [
                reduce(self._block(statistic, epochs, part))
                for part in self._blocks(epochs, statistic)
            ]
        )
        if epochs == slice(0, self.epochs):
            self._checked.add(self._source(statistic))
        return found.astype(np.float64) if found.dtype.kind == "f" else found

    def _blocks(self, epochs: slice, statistic: str) -> Iterator[slice]:
        one_each = statistic in self._arrays and ARRAYS[statistic].shape == ("T", "N")
        width = (epochs.stop - epochs.start) * (1 if one_each else self._sizes["C"])
        size = max(1, BLOCK // max(1, width))
        for first in range(0, len(self), size):
            yield slice(first, min(first + size, len(self)))

    def _block(self, statistic: str, epochs: slice, part: slice) -> np.ndarray:
        place = epochs, part if self._rows is None else self._rows[part]
        seen = self._seen(place)
        if statistic in self._arrays:
            values = np.asarray(self._array(statistic)[place])
            if statistic not in self._checked:
                self._check(statistic, values, place, seen)
        else:
            values = self._derive(statistic, place, seen)
        # What is there itself was checked for it.
        if (
            statistic not in self._arrays
            and np.isnan(values if seen is None else values[seen]).any()
        ):
            raise UserError(f"{self.name}: {statistic} has NaN in epochs that are marked as seen")
        if seen is None or seen.all():
            return values
        if values.dtype.kind != "f":
            values = values.astype(np.float32)
        masked = self.missing == "masked" or statistic == "correct"
        seen = seen.reshape(
            *seen.shape, *[1] * (values.ndim - 2)
        )  # of probabilities, for every class
        return np.where(seen, values, values.dtype.type(np.nan if masked else 0))

    def _derive(self, statistic: str, place: checks.Place, seen: np.ndarray | None) -> np.ndarray:
        source = self._source(statistic)
        logarithms, of_logits = source == "log_probs", statistic == "logit_margin"
        block = self._array(source)[place]
        checked = source in self._checked
        # What was not seen may be anything, and a logarithm beyond float32 is as good as −∞.
        with np.errstate(over="ignore", invalid="ignore"):
            values = block.astype(np.float32)
            p = np.exp(values) if logarithms and not (checked and of_logits) else values
            if not checked and self.multilabel:
                self._check(source, block, place, seen)
            elif not checked:
                checks.distributions(self.name, source, block, p, at=place, seen=seen)
            if statistic == "probs":
                return p
            labels = self._arrays["labels"][place[1]]
            return STATISTICS[statistic](values if of_logits else p, labels)

    def _ask_about_order(self, statistic: str) -> None:
        """Tell the user, once, if predictions look like those of other samples."""
        derived = statistic not in self._arrays
        told = derived and "labels" in self._arrays
        if self._asked or not told or self._rows is not None or self.epochs < 2 or self.multilabel:
            return
        self._asked, source = True, self._source(statistic)
        seen = self._seen((slice(self.epochs - 1, None), slice(None)))
        rows = np.arange(len(self)) if seen is None else np.flatnonzero(seen[0])
        rows = rows[:: max(1, len(rows) // ENOUGH)]
        p = np.asarray(self._array(source)[-1, rows], dtype=np.float32)
        with np.errstate(all="ignore"):
            p = np.exp(p) if source == "log_probs" else p
            if by_chance(p, self._arrays["labels"][rows].astype(np.int64)):
                say(
                    f"{self.name}: in the last epoch, {source} fits the labels no better than "
                    "predictions of other samples would; in all epochs rows are to be in the order "
                    "of the labels, not in that of a shuffled loader"
                )

    def _source(self, statistic: str) -> str:
        """Return the array that a per-epoch statistic is read from."""
        if statistic in self._arrays:
            return statistic
        return "log_probs" if "log_probs" in self._arrays else "probs"

    def _seen(self, place: checks.Place) -> np.ndarray | None:
        """Return what was seen at a place of (T, N), or None if everything was."""
        if "seen" not in self._arrays:
            return None
        block = self._array("seen")[place]
        if "seen" not in self._checked:
            self._check("seen", block, place)
        return np.asarray(block).astype(bool, copy=False)

    def _check_whole(self, name: str) -> None:
        """Check an array of the samples that there are; epoch by epoch if it has any."""
        array, shape = self._of_samples(name), ARRAYS[name].shape
        everything = slice(0, None)
        rows = everything if self._rows is None else self._rows
        place = tuple(rows if symbol == "N" else everything for symbol in shape)
        if shape[0] != "T":
            self._check(name, array, place)
            return
        for epoch in range(len(array)):
            one = slice(epoch, epoch + 1)
            whose = name == "seen" or shape[1] != "N"
            seen = None if whose else self._seen((one, rows))
            self._check(name, array[one], (one, *place[1:]), seen)

    def _check(
        self, name: str, block: np.ndarray, place: checks.Place, seen: np.ndarray | None = None
    ) -> None:
        classes, several = self._sizes.get("C"), self.multilabel
        checks.values(
            self.name, name, block, at=place, seen=seen, classes=classes, multilabel=several
        )

    def _array(self, name: str) -> np.ndarray:
        """Return an array, the first time if its file is as it was written, else raise UserError."""
        if name in self._sealed:
            check_file(*self._sealed.pop(name))
        return self._arrays[name]

    def _of_samples(self, name: str) -> np.ndarray:
        array = self._array(name)
        if self._rows is not None:
            for axis, symbol in enumerate(ARRAYS[name].shape):
                if symbol == "N":
                    array = np.take(array, self._rows, axis=axis)
        return array

    def _lacks(self, name: str) -> UserError:
        ways = [" and ".join(ingredients) for ingredients in RECIPES.get(name, ())]
        there = ", ".join(key for key in ARRAYS if key in self._arrays)
        unknown = f"; unknown: {', '.join(self._unknown)}" if self._unknown else ""
        return UserError(
            f"{self.name} lacks {' or '.join([name, *ways])} (it has {there or 'nothing'}{unknown})"
        )


def _is_mapped(array: np.ndarray) -> bool:
    return isinstance(array, np.memmap)


Found = tuple[dict[str, np.ndarray], list[str]]


def _read_folder(path: Path) -> Found:
    """Return the arrays of a folder, memory-mapped, and the names of what evidence does not know."""
    names = sorted(file.stem for file in path.glob("*.npy"))
    known = [name for name in ARRAYS if name in names]
    return {name: map_npy(path / f"{name}.npy", AN_ARRAY) for name in known}, [
        name for name in names if name not in ARRAYS
    ]


def _read_npz(path: Path) -> Found:
    """Return the arrays of an `.npz`, and the names of what evidence does not know: it is not read."""
    with open_npz(path, EVIDENCE) as archive:
        found = {}
        for name in archive.files:
            if name in ARRAYS:
                with file_of(f"{path}: {name}", AN_ARRAY):
                    found[name] = archive[name]
        return found, [name for name in archive.files if name not in ARRAYS]
