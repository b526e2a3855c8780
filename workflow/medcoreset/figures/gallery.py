"""Which images a method ranks highest and lowest."""

from collections.abc import Sequence
from itertools import chain

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from medcoreset.errors import UserError
from medcoreset.figures import parts
from medcoreset.plan import Part, Plan, Scores

COLUMNS = 10
TILE = 0.55
"""Width of an image with its margin in inches."""
MARGIN = 0.08
"""Of the width of an image, to its neighbours."""


def draw(plan: Plan) -> Figure:
    """Draw the training images of highest and lowest score, per class and method.

    One part per dataset (that of its first surrogate with scores), two rows per method, and ten
    columns at most: few classes have several images each, of many classes ten are shown.
    """
    shown = _shown(plan)
    rows = [2 * len(entries) for _, entries in shown]
    size = (0.75 + TILE * COLUMNS, sum(TILE * count + 0.4 for count in rows))
    figure = Figure(figsize=size)
    axes = figure.subplots(len(shown), 1, squeeze=False, height_ratios=rows)[:, 0]
    for ax, (source, entries) in zip(axes, shown, strict=True):
        _part(ax, plan, source, entries)
    return figure


def _shown(plan: Plan) -> list[tuple[Part, list[Scores]]]:
    """Return, per dataset, the first surrogate that has scores, and the methods' scores."""
    groups = parts.by_surrogate(plan)
    shown: dict[str, tuple[Part, list[Scores]]] = {}
    for source in plan.sources:
        if parts.place(source) in groups:
            shown.setdefault(source.dataset, (source, groups[parts.place(source)]))
    if not shown:
        raise UserError(f"figure gallery: experiment {plan.name!r} has no scores")
    return list(shown.values())


def _part(ax: Axes, plan: Plan, source: Part, entries: list[Scores]) -> None:
    dataset = parts.read_dataset(plan, source.dataset)
    classes = shown_classes(dataset.classes)
    each = max(1, COLUMNS // len(classes))
    rows: list[list[int | None]] = []
    for entry in entries:
        (scores,) = parts.read_scores(entry, "scores")
        if len(scores) != len(dataset.train_labels):
            raise UserError(
                f"{entry.path}: {len(scores)} scores, {source.dataset} has "
                f"{len(dataset.train_labels)} training images"
            )
        members = [dataset.train_labels == label for label in classes]
        extremes = [extreme_samples(scores, of_class, each) for of_class in members]
        rows += [list(chain.from_iterable(row)) for row in zip(*extremes, strict=True)]
    step = dataset.image_size + max(1, round(MARGIN * dataset.image_size))
    picture = mosaic(dataset.train_images, rows, step)
    ax.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="nearest", aspect="equal")
    ax.set_anchor("W")
    ax.set_frame_on(False)
    ax.grid(visible=False)
    ax.tick_params(length=0, labeltop=True, labelbottom=False, labelsize=6.5)
    centre = (dataset.image_size - 1) / 2
    names = [_short(str(dataset.info["class_names"][label]), 12 * each) for label in classes]
    middle = centre + step * (each - 1) / 2
    ax.set_xticks([step * each * i + middle for i in range(len(names))], names)
    labels = [
        f"{plan.methods[entry.method]}\n{extreme}"
        for entry in entries
        for extreme in ("highest", "lowest")
    ]
    ax.set_yticks([step * i + centre for i in range(len(labels))], labels)
    ax.set_title(plan.datasets[source.dataset].label)


def mosaic(images: np.ndarray, rows: Sequence[Sequence[int | None]], step: int) -> np.ndarray:
    """Return the images (N, s, s[, 3]) of `rows` on white, `step` pixels apart; None is empty."""
    size = images.shape[1]
    height, width = (step * count - (step - size) for count in (len(rows), len(rows[0])))
    picture = np.full((height, width, *images.shape[3:]), 255, dtype=np.uint8)
    for i, row in enumerate(rows):
        for j, sample in enumerate(row):
            if sample is not None:
                top, left = i * step, j * step
                picture[top : top + size, left : left + size] = images[sample]
    return picture


def shown_classes(classes: int) -> list[int]:
    """Return the classes that have columns: all, or ten spread evenly over many."""
    if classes <= COLUMNS:
        return list(range(classes))
    return np.linspace(0, classes - 1, COLUMNS).round().astype(int).tolist()


def extreme_samples(
    scores: np.ndarray, members: np.ndarray, count: int
) -> tuple[list[int | None], list[int | None]]:
    """Return the `count` members (N,) bool of highest and of lowest score, None if there are fewer.

    Equal scores are in the order of the samples.
    """
    samples = np.flatnonzero(members)
    missing = [None] * (count - len(samples))
    highest = samples[np.argsort(-scores[samples], kind="stable")[:count]]
    lowest = samples[np.argsort(scores[samples], kind="stable")[:count]]
    return highest.tolist() + missing, lowest.tolist() + missing


def _short(name: str, longest: int) -> str:
    return name if len(name) <= longest else f"{name[: longest - 1]}…"
