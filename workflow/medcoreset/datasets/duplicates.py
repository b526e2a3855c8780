"""The same image more than once: in two splits, where it flatters the result, or inside one."""

import hashlib
from collections import Counter
from collections.abc import Hashable, Iterable
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import numpy as np

from medcoreset.datasets.canonical import SPLITS, Dataset, take
from medcoreset.datasets.streaming import StreamedImages
from medcoreset.errors import UserError
from medcoreset.reading import file_of

Policy = Literal["keep", "refuse", "drop"]
POLICIES: tuple[Policy, ...] = ("keep", "refuse", "drop")
PAIRS = (("val", "train"), ("test", "train"), ("test", "val"))
HEAD = 4096
"""Bytes that tell most image files apart."""


def handled(dataset: Dataset, policy: Policy = "keep") -> Dataset:
    """Return the dataset with its duplicates counted, in `info` and its notes, or without them.

    Images are the same if all pixels are, streamed ones if their files are. `refuse` raises a
    UserError if there are any. `drop` keeps of each image one: that in test, else that in val, else
    the first in train; it is a UserError if that leaves a split or a class of train empty.
    """
    keys = _keys(dataset)
    counts = _counts(dataset, keys)
    dataset.info["duplicates"] = counts
    if not counts:
        return dataset
    sentence = _sentence(counts)
    if policy == "refuse":
        raise UserError(
            f"dataset {dataset.name}: {sentence}; refused by the option duplicates (keep, refuse or drop)"
        )
    notes = dataset.info["notes"] = [*dataset.info.get("notes", []), sentence]
    if policy == "keep":
        return dataset
    kept = _first(keys)
    _check_left(dataset, kept)
    left = ", ".join(f"{len(kept[split])} {split}" for split in SPLITS)
    notes.append(f"without these images there are {left}")
    dataset.info["duplicates"] = {"dropped": counts}
    others = SPLITS[1:]
    fields = dataset.train_at(kept["train"])
    fields |= {f"{split}_images": take(dataset.images(split), kept[split]) for split in others}
    fields |= {f"{split}_labels": dataset.labels(split)[kept[split]] for split in others}
    return replace(dataset, **fields)


def _keys(dataset: Dataset) -> dict[str, np.ndarray]:
    """Return a number for each image of each split, (N,), the same for the same images."""
    images = [dataset.images(split) for split in SPLITS]
    pixels = chain.from_iterable(each for each in images if isinstance(each, np.ndarray))
    files = dataset.streamed_images()
    keys: Iterable[Hashable] = _of_files(files) if files else map(_of_pixels, pixels)
    numbers: dict[Hashable, int] = {}
    every = np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.int64)
    ends = np.cumsum([len(of_split) for of_split in images])[:-1]
    return dict(zip(SPLITS, np.split(every, ends), strict=True))


def _of_pixels(image: np.ndarray) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(image).data).digest()


def _of_files(images: Iterable[StreamedImages]) -> list[tuple[Any, ...]]:
    """Return the files' sizes, and of those of a size what they begin with, and then all of it."""
    paths = [each.root / str(path) for each in images for path in each.paths]
    keys: list[tuple[Any, ...]] = [(int(size),) for each in images for size in each.file_bytes]
    for length in (HEAD, -1):
        count = Counter(keys)
        keys = [
            key if count[key] == 1 else (*key, _of_bytes(path, length))
            for key, path in zip(keys, paths, strict=True)
        ]
    return keys


def _of_bytes(path: Path, length: int) -> bytes:
    with file_of(path, "a readable image"), path.open("rb") as stream:
        return hashlib.sha256(stream.read(length)).digest()


def _counts(dataset: Dataset, keys: dict[str, np.ndarray]) -> dict[str, int]:
    """Return how many images are copies, by split, by pair of splits, and with other labels."""
    counts = {split: len(keys[split]) - len(np.unique(keys[split])) for split in SPLITS}
    counts |= {
        f"{one}_in_{other}": int(np.isin(keys[one], keys[other]).sum()) for one, other in PAIRS
    }
    every = np.column_stack(
        [
            np.concatenate([keys[split] for split in SPLITS]),
            np.concatenate([dataset.labels(split) for split in SPLITS]),
        ]
    )
    labelled = np.unique(every, axis=0)[:, 0]
    counts["contradictory"] = int((np.unique(labelled, return_counts=True)[1] > 1).sum())
    return {what: count for what, count in counts.items() if count}


def _sentence(counts: dict[str, int]) -> str:
    parts = [
        f"{_images(counts[f'{one}_in_{other}'], one)} in {other} too"
        for one, other in PAIRS
        if f"{one}_in_{other}" in counts
    ]
    inside = [f"{counts[split]} in {split}" for split in SPLITS if split in counts]
    parts += [f"there are copies inside a split ({', '.join(inside)})"] if inside else []
    if "contradictory" in counts:
        parts.append(f"{counts['contradictory']} of these have more than one label")
    return "; ".join(parts)


def _images(count: int, split: str) -> str:
    return f"1 {split} image is" if count == 1 else f"{count} {split} images are"


def _first(keys: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the sorted places of the images to keep, by split."""
    kept = {}
    seen = np.zeros(0, np.int64)
    for split in reversed(SPLITS):
        _, places = np.unique(keys[split], return_index=True)
        kept[split] = np.sort(places[~np.isin(keys[split][places], seen)])
        seen = np.concatenate([seen, keys[split]])
    return kept


def _check_left(dataset: Dataset, kept: dict[str, np.ndarray]) -> None:
    for split in SPLITS:
        if len(dataset.labels(split)) and not len(kept[split]):
            raise UserError(f"dataset {dataset.name}: without duplicates {split} has no image left")
    left = _present(dataset.train_labels[kept["train"]])
    if lost := sorted(_present(dataset.train_labels) - left):
        raise UserError(
            f"dataset {dataset.name}: without duplicates train has no image left of the class "
            f"{dataset.info['class_names'][lost[0]]}"
        )


def _present(labels: np.ndarray) -> set[int]:
    """Return the classes of labels (N,), or the labels of (N, L) that some sample has."""
    return set((labels if labels.ndim == 1 else np.flatnonzero(labels.any(0))).tolist())
