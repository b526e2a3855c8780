"""Small stand-ins for rehearsals: a dataset's classes, splits and channels, drawn from digits.

Nothing is downloaded. Class c is the digit c mod 10, turned, inverted and tinted by c div 10, so
that there is something to learn in every class. With several labels per image it shows the digits of
all that it has, one over the other. In a volume the digit fills the middle half of the slices.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path

import numpy as np
from PIL import Image

from medcoreset.datasets import digits, folder
from medcoreset.datasets.canonical import SPLITS, Dataset
from medcoreset.datasets.catalog import Identity

LARGEST = 32
"""Pixels; larger images become this small."""
LARGEST_VOLUME = 12
"""Pixels of volumes, of which one of 32 would have as many as thirty images."""
LEAST = 240
"""Training images, unless the dataset itself has fewer."""
HELD_OUT = 60
"""Images of val and of test, and one of every class at least."""

MISLEADING = 0.1
"""Share of the training images that show the next class: else two classes are learned in one epoch,
none of their samples is ever forgotten, and forgetting has nothing to rank."""


@dataclass(frozen=True)
class Likeness:
    """What a stand-in shares with its dataset.

    `class_counts` (C,) are the training images per class, of which the proportions matter;
    `samples` is the number of training images. With `multilabel` the counts are those of the images
    that have each label.
    """

    class_counts: np.ndarray
    samples: int
    image_size: int
    colour: bool
    has_val: bool
    streamed: bool
    dimensions: int = 2
    multilabel: bool = False

    @property
    def shown_size(self) -> int:
        """Pixels of the stand-in's images."""
        return min(self.image_size, LARGEST if self.dimensions == 2 else LARGEST_VOLUME)

    @classmethod
    def of_source(cls, identity: Identity) -> "Likeness":
        """Return what the catalog knows of a public dataset."""
        source = identity.source
        whole = source.counts["train"]
        samples = identity.train or whole
        shares = np.array(source.class_shares)
        return cls(
            shares * samples / whole if source.multilabel else shares,
            samples,
            source.image_size,
            source.colour,
            source.has_val or identity.val > 0,
            source.streamed,
            source.dimensions,
            source.multilabel,
        )

    @classmethod
    def of_own(cls, dataset: Dataset, *, streamed: bool = False) -> "Likeness":
        """Return what a user's own data are like; no image of it is decoded."""
        return cls(
            dataset.train_labels.sum(0)
            if dataset.multilabel
            else np.bincount(dataset.train_labels, minlength=dataset.classes),
            len(dataset.train_labels),
            dataset.image_size,
            dataset.channels == 3,
            len(dataset.val_labels) > 0,
            streamed,
            dataset.dimensions,
            dataset.multilabel,
        )


def make(name: str, like: Likeness, samples: int, images: Path) -> Dataset:
    """Return a stand-in of at least `samples` training images, the same one at every call.

    Images are `LARGEST` pixels high and wide (`LARGEST_VOLUME` in volumes), or as large as the dataset's
    own if that is less. Of a streamed dataset they are JPEG files, written below the folder `images`.
    """
    classes = len(like.class_counts)
    held_out = max(HELD_OUT, classes * (1 + like.multilabel))
    sizes = {
        "train": min(max(samples, LEAST, 2 * classes), like.samples),
        "val": held_out if like.has_val else 0,
        "test": held_out,
    }
    arrays: dict[str, np.ndarray] = {}
    for number, (split, size) in enumerate(sizes.items()):
        random = np.random.default_rng([number, 0])
        labels = random.permutation((_rows if like.multilabel else _labels)(like, size))
        shown = labels if split != "train" else _misleading(labels, classes)
        pixels = (_overlaid if like.multilabel else _pixels)(shown, split, like)
        arrays |= {f"{split}_images": pixels, f"{split}_labels": labels.astype(np.int64)}
    info = {
        "class_names": [f"{label:04d}" for label in range(classes)],
        "source": f"stand-in for {name}, made of sklearn.datasets.load_digits",
        "stand_in": True,
    }
    if not like.streamed:
        return Dataset(name, **arrays, info=info)
    _write_jpegs(arrays, images)
    size = arrays["train_images"].shape[1]
    streamed = folder.read(name, images, image_size=size, resized_to=size + size // 8, colour=True)
    streamed.info.update(info)
    return streamed


def _labels(like: Likeness, size: int) -> np.ndarray:
    """Return `size` labels in about the dataset's proportions, each class once at least."""
    class_counts = like.class_counts
    each = np.arange(len(class_counts))[:size]
    shares = np.cumsum(class_counts) / class_counts.sum()
    places = (np.arange(size - len(each)) + 0.5) / max(size - len(each), 1)
    return np.concatenate([each, np.searchsorted(shares, places)])


def _rows(like: Likeness, size: int) -> np.ndarray:
    """Return `size` rows of several labels, each in about the dataset's share, one at least."""
    shares = like.class_counts / like.samples
    rows = (np.random.default_rng([3, size]).random((size, len(shares))) < shares).astype(np.int64)
    some = np.arange(min(len(shares), size))
    rows[some] = np.eye(len(shares), dtype=np.int64)[some]
    return rows


def _overlaid(rows: np.ndarray, split: str, like: Likeness) -> np.ndarray:
    """Draw the digits of all labels that an image has, (N, L); where it has none, it is dark."""
    grey = replace(like, colour=False)

    def of(label: int) -> np.ndarray:
        shown = _pixels(np.full(len(rows), label), split, grey)
        return shown * rows[:, label].reshape(-1, *(1,) * (shown.ndim - 1)).astype(np.uint8)

    images = reduce(np.maximum, map(of, range(rows.shape[1])))
    # Else all without a label would be the same image.
    images = np.maximum(images, np.random.default_rng(4).integers(0, 24, images.shape, np.uint8))
    return np.repeat(images[..., None], 3, -1) if like.colour else images


def _misleading(labels: np.ndarray, classes: int) -> np.ndarray:
    """Return the classes that the training images show, most of them those of the labels."""
    places = np.random.default_rng(2).random(len(labels)) < MISLEADING
    if labels.ndim == 2:
        return np.where(places[:, None], np.roll(labels, 1, axis=1), labels)
    return np.where(places, (labels + 1) % classes, labels)


def _pixels(labels: np.ndarray, split: str, like: Likeness) -> np.ndarray:
    """Draw an image for each label from the digits of the same split, so that no split leaks."""
    size = like.shown_size
    source = digits.read()
    drawn, known = source.images(split), source.labels(split)
    random = np.random.default_rng([SPLITS.index(split), 1])
    rows = np.arange(size) * drawn.shape[1] // size
    images = np.empty((len(labels), size, size), np.uint8)
    for label in np.unique(labels):
        places = np.flatnonzero(labels == label)
        chosen = drawn[random.choice(np.flatnonzero(known == label % 10), len(places))]
        images[places] = _varied(chosen[:, rows][:, :, rows], label // 10)
    if like.dimensions == 3:
        slices = np.abs(np.arange(size) - (size - 1) / 2) < size / 4
        images = images[:, None] * slices[:, None, None].astype(np.uint8)
    noise = random.integers(0, 24, images.shape, np.uint8)
    images = np.minimum(images, 231) + noise  # no two images are the same
    if not like.colour:
        return images
    tints = np.stack(
        [255 - 16 * (labels // 10 % 7), 255 - 16 * (labels // 70 % 13), labels * 0 + 255]
    )
    return (images[..., None] * (tints.T[:, None, None] / 255)).astype(np.uint8)


def _varied(images: np.ndarray, variant: int) -> np.ndarray:
    """Turn images (n, size, size) by quarters, and invert every other four variants."""
    turned = np.rot90(images, variant % 4, axes=(1, 2))
    return 255 - turned if variant // 4 % 2 else turned


def _write_jpegs(arrays: dict[str, np.ndarray], root: Path) -> None:
    """Write the splits as `root`/SPLIT/CLASS/NUMBER.jpg, half as wide again as high."""
    for split, number, label, pixels in _each(arrays):
        path = root / split / f"{label:04d}" / f"{number:05d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        size = len(pixels) + len(pixels) // 8
        colour = pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, 2)
        Image.fromarray(colour).resize((size * 3 // 2, size)).save(path, quality=90)


def _each(arrays: dict[str, np.ndarray]) -> Iterator[tuple[str, int, int, np.ndarray]]:
    for split in SPLITS:
        pairs = zip(arrays[f"{split}_labels"], arrays[f"{split}_images"], strict=True)
        for number, (label, pixels) in enumerate(pairs):
            yield split, number, int(label), pixels
