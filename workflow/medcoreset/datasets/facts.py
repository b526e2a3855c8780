"""How many images of what kind a dataset has, told without reading one."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medcoreset.datasets import conditions, npz
from medcoreset.datasets.canonical import channels_of, dimensions_of
from medcoreset.datasets.catalog import Identity
from medcoreset.errors import UserError
from medcoreset.reading import npz_headers


@dataclass(frozen=True)
class Facts:
    """Images per split as they are trained on, and what an image is like."""

    train: int
    val: int
    test: int
    classes: int
    channels: int
    image_size: int
    streamed: bool = False
    decoded: bool = False
    dimensions: int = 2
    multilabel: bool = False


def of(identity: Identity, own: dict[str, Any] | None) -> Facts | None:
    """Return the facts of a dataset: official ones, or those of the user's own `.npz`.

    None where they cannot be told: own data that are not there, or a folder of images.
    """
    if own is not None:
        return _of_npz(identity, Path(own["path"]), own.get("multilabel", False))
    return official(identity)


def official(identity: Identity) -> Facts:
    """Return the facts of a public dataset."""
    source = identity.source
    channels = 3 if source.colour else 1
    train, val, test = _splits(identity, source.counts, source.class_shares)
    return Facts(
        train,
        val,
        test,
        len(source.class_shares),
        channels,
        source.image_size,
        source.streamed,
        identity.decoded,
        source.dimensions,
        source.multilabel,
    )


def class_sizes(identity: Identity) -> np.ndarray:
    """Return about how many training images each class of a public dataset has, without conditions."""
    shares = identity.source.class_shares
    return _class_sizes(_splits(identity.clean, identity.source.counts, shares)[0], shares)


def _class_sizes(train: int, shares: Sequence[int]) -> np.ndarray:
    return np.maximum(np.round(train * np.array(shares) / np.sum(shares)), 1).astype(np.int64)


def _splits(
    identity: Identity, counts: dict[str, int], shares: Sequence[int]
) -> tuple[int, int, int]:
    """Return the numbers of training, validation and test images that an identity leaves.

    `shares` are the proportions of the classes of the training set.
    """
    train, val = counts["train"], counts.get("val", 0)
    if not val and identity.val:
        val = max(1, round(identity.val * train))
        train -= val
    train = identity.train or train
    if (ratio := identity.conditions.imbalance) is not None:
        train = int(conditions.long_tail(_class_sizes(train, shares), ratio).sum())
    return train, val, counts["test"]


def _of_npz(identity: Identity, path: Path, several: bool) -> Facts | None:
    try:
        labels, class_names, _ = npz.read_labels(identity.base, path, multilabel=several)
        shape, _ = npz_headers(path, npz.WHAT)["train_images"]
    except UserError:
        return None
    counts = {split: len(of_split) for split, of_split in labels.items()}
    shares = (labels["train"].sum(0) if several else np.bincount(labels["train"])).tolist()
    train, val, test = _splits(identity, counts, shares)
    return Facts(
        train,
        val,
        test,
        len(class_names),
        channels_of(shape),
        image_size=shape[1],
        dimensions=dimensions_of(shape),
        multilabel=several,
    )
