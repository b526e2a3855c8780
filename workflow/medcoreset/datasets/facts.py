"""How many images of what kind a dataset has, told without reading one."""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medcoreset.datasets.catalog import Identity


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


def of(identity: Identity, own: dict[str, Any] | None) -> Facts | None:
    """Return the facts of a dataset: official ones, or those of the user's own `.npz`.

    None where they cannot be told: own data that are not there, or a folder of images.
    """
    if own is not None:
        return _of_npz(identity, Path(own["path"]))
    source = identity.source
    channels = 3 if source.colour else 1
    kind = (len(source.class_shares), channels, source.image_size, source.streamed)
    return Facts(*_splits(identity, source.counts), *kind)


def _splits(identity: Identity, counts: dict[str, int]) -> tuple[int, int, int]:
    """Return the numbers of training, validation and test images that an identity leaves."""
    train, val = counts["train"], counts.get("val", 0)
    if not val and identity.val:
        val = max(1, round(identity.val * train))
        train -= val
    return identity.train or train, val, counts["test"]


def _of_npz(identity: Identity, path: Path) -> Facts | None:
    try:
        with zipfile.ZipFile(path) as archive:
            shapes = {
                split: _shape(archive, f"{split}_images.npy") for split in ("train", "val", "test")
            }
        with np.load(path, allow_pickle=False) as arrays:
            classes = int(np.max(arrays["train_labels"])) + 1
    except (OSError, KeyError, ValueError, zipfile.BadZipFile):
        return None
    counts = {split: shape[0] for split, shape in shapes.items()}
    _, size, _, *colour = shapes["train"]
    return Facts(*_splits(identity, counts), classes, 3 if colour else 1, size)


def _shape(archive: zipfile.ZipFile, member: str) -> tuple[int, ...]:
    with archive.open(member) as stream:
        version = np.lib.format.read_magic(stream)
        return getattr(np.lib.format, f"read_array_header_{version[0]}_0")(stream)[0]
