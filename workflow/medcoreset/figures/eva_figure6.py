"""EVA's Figure 6: images of a class that differ, and images of two classes that are alike."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from medcoreset.analysis import similarity
from medcoreset.analysis.similarity import Rows, at_length_1
from medcoreset.datasets.canonical import Dataset
from medcoreset.figures import parts, pictures
from medcoreset.plan import Part, Plan

NEEDS = ("numbers", "sources")
OF_CLASSES = True

LARGEST = 64
"""Pixels; larger images are compared in this size."""
MOST = 2000
"""Images of a class, evenly spaced in the dataset's order, among which the pairs are looked for."""
LABELS = ("same class,\nleast alike", "this class", "other class,\nmost alike")
"""Of the rows of images: two of the first, one of each of the others."""
PLACES = (0.5, 2, 3)


@dataclass(frozen=True)
class _Space:
    """A dataset's training images as rows of numbers, and what was found among them."""

    source: Part
    dataset: Dataset
    name: str
    rows: Rows
    means: np.ndarray

    @property
    def numbers(self) -> tuple[float, float]:
        """Return the intra-class variation and the inter-class similarity."""
        alike, _ = similarity.inter_class_similarity(self.means)
        return similarity.intra_class_variation(self.means), alike


def numbers(plan: Plan) -> pd.DataFrame:
    """Return the two numbers of every dataset's training set, by features and by pixels.

    They are `similarity.intra_class_variation` and `inter_class_similarity`, of the penultimate
    features that the dataset's first surrogate ends with, and of the pixels, of images beyond
    64 × 64 reduced to that.
    """
    return pd.DataFrame(
        [
            {
                "dataset": space.source.dataset,
                "protocol": space.source.protocol,
                "surrogate": space.source.surrogate,
                "space": space.name,
                "intra_class_variation": round(space.numbers[0], 6),
                "inter_class_similarity": round(space.numbers[1], 6),
            }
            for space in _spaces(plan)
        ]
    )


def draw(plan: Plan, numbers: pd.DataFrame) -> Figure:
    """Draw four rows of images per dataset, by features and by pixels, with the two numbers.

    The first two are pairs of one class with the smallest cosine, the others pairs of a class and
    the class most similar to it with the largest. Columns are as in `gallery`.
    """
    spaces = list(_spaces(plan))
    tile = pictures.TILE
    figure = Figure(figsize=(0.85 + tile * pictures.COLUMNS, (4 * tile + 0.62) * len(spaces)))
    axes = figure.subplots(len(spaces), 1, squeeze=False)[:, 0]
    for ax, space, (_, row) in zip(axes, spaces, numbers.iterrows(), strict=True):
        _part(ax, space)
        label = plan.datasets[space.source.dataset].label
        by = "the surrogate's features" if space.name == "features" else "pixels"
        ax.set_title(
            f"{label}, by {by}: intra-class variation {row['intra_class_variation']:.3f}, "
            f"inter-class similarity {row['inter_class_similarity']:.3f}"
        )
    return figure


def _spaces(plan: Plan) -> Iterator[_Space]:
    """Yield the features and the pixels of every dataset, of its first surrogate."""
    first: dict[str, Part] = {}
    for source in plan.sources:
        first.setdefault(source.dataset, source)
    for source in first.values():
        dataset = parts.read_dataset(plan, source.dataset)
        evidence = parts.read_evidence(source)
        evidence.check_labels(dataset.train_labels)
        features = evidence["features"]
        for name, rows in (("features", features.__getitem__), ("pixels", _pixels(dataset))):
            means = similarity.class_means(rows, dataset.train_labels, dataset.classes)
            yield _Space(source, dataset, name, rows, means)


def _pixels(dataset: Dataset) -> Rows:
    size = (LARGEST, LARGEST)

    def rows(indices: np.ndarray) -> np.ndarray:
        images = dataset.train_images[indices]
        if dataset.image_size > LARGEST and dataset.dimensions == 2:
            reduced = (
                Image.fromarray(image).resize(size, Image.Resampling.BOX) for image in images
            )
            images = np.stack([np.asarray(image) for image in reduced])
        return images.reshape(len(images), -1)

    return rows


def _part(ax: Axes, space: _Space) -> None:
    dataset = space.dataset
    classes, each = pictures.shown_classes(dataset.classes), pictures.per_class(dataset)
    _, nearest = similarity.inter_class_similarity(space.means)
    others = nearest[classes].tolist()
    rows: list[list[int | None]] = [[], [], [], []]
    for label, other in zip(classes, others, strict=True):
        own, its = (_some(dataset.train_labels == one) for one in (label, other))
        here, there = (at_length_1(space.rows(samples)) for samples in (own, its))
        within = similarity.extreme_pairs(here @ here.T, each, within=True)
        across = similarity.extreme_pairs(here @ there.T, each, within=False)
        missing = [None] * each
        columns = [
            [own[i] for i, _ in within],
            [own[j] for _, j in within],
            [own[i] for i, _ in across],
            [its[j] for _, j in across],
        ]
        for row, found in zip(rows, columns, strict=True):
            row += [*map(int, found), *missing][:each]
    pictures.show(ax, dataset, rows)
    ax.set_yticks(pictures.row_ticks(dataset, PLACES), LABELS)
    below = ax.secondary_xaxis("bottom")
    below.tick_params(length=0, labelsize=6.5)
    below.spines["bottom"].set_visible(False)
    below.set_xticks(*pictures.class_ticks(dataset, others))


def _some(members: np.ndarray) -> np.ndarray:
    """Return at most `MOST` of the samples of a class, `members` bool (N,)."""
    samples = np.flatnonzero(members)
    count = min(len(samples), MOST)
    return samples[np.linspace(0, len(samples) - 1, count).astype(int)]
