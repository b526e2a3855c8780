"""A dataset in one line, for whoever prepared it."""

import numpy as np

from medcoreset.datasets.canonical import SPLITS, Dataset

FEW = 12
"""Classes that are named one by one."""


def summary(dataset: Dataset) -> str:
    """Return how many images each class has in each split, and the notes of the dataset's reader.

    Notes, `dataset.info["notes"]`, say what was not read, or was read otherwise than it could be.
    """
    counted = ", ".join(f"{split} {_counts(dataset, split)}" for split in SPLITS)
    colour = "colour" if dataset.channels == 3 else "grey"
    kind = f"{colour}{', volumes' * (dataset.dimensions == 3)}, {dataset.image_size} pixels"
    parts = [f"{dataset.name}: {counted}", kind, *dataset.info.get("notes", [])]
    if dataset.info.get("verified") is False:
        parts.append("unverified, for no checksums of its unpacked files are on record")
    return " ".join("; ".join(parts).split())


def _counts(dataset: Dataset, split: str) -> str:
    labels = dataset.labels(split)
    counts = labels.sum(0) if dataset.multilabel else np.bincount(labels, minlength=dataset.classes)
    if len(labels) == 0:
        return "0"
    if dataset.classes > FEW:
        what = "labels, each" if dataset.multilabel else "classes"
        return f"{len(labels)} ({dataset.classes} {what} of {counts.min()} to {counts.max()})"
    names = dataset.info["class_names"]
    return f"{len(labels)} ({', '.join(f'{n} {c}' for n, c in zip(names, counts, strict=True))})"
