"""Which images a method ranks highest and lowest."""

from itertools import chain

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from medcoreset.errors import UserError
from medcoreset.figures import parts, pictures
from medcoreset.plan import Part, Plan, Scores

NEEDS = ("sources", "scores")
OF_CLASSES = True


def draw(plan: Plan) -> Figure:
    """Draw the training images of highest and lowest score, per class and method.

    One part per dataset (that of its first surrogate with scores), two rows per method, and ten
    columns at most: few classes have several images each, of many classes ten are shown.
    """
    shown = _shown(plan)
    rows = [2 * len(entries) for _, entries in shown]
    tile = pictures.TILE
    size = (0.75 + tile * pictures.COLUMNS, sum(tile * count + 0.4 for count in rows))
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
    classes, each = pictures.shown_classes(dataset.classes), pictures.per_class(dataset)
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
    pictures.show(ax, dataset, rows)
    labels = [
        f"{plan.methods[entry.method]}\n{extreme}"
        for entry in entries
        for extreme in ("highest", "lowest")
    ]
    ax.set_yticks(pictures.row_ticks(dataset, range(len(labels))), labels)
    ax.set_title(plan.datasets[source.dataset].label)


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
