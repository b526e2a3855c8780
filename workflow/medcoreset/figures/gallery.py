"""Which images a method ranks highest and lowest."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from medcoreset.analysis.experiment import Experiment, Scores, Source
from medcoreset.datasets import canonical
from medcoreset.errors import UserError
from medcoreset.figures import parts

COLUMNS = 10
TILE = 0.55
"""Width of an image with its margin in inches."""


def draw(experiment: Experiment) -> Figure:
    """Draw the training images of highest and lowest score, per class and method.

    One part per dataset (that of its first surrogate with scores), two rows per method, and ten
    columns at most: few classes have several images each, of many classes ten are shown.
    """
    shown = _shown(experiment)
    rows = [2 * len(entries) for _, entries in shown]
    width = 0.75 + TILE * COLUMNS
    figure = Figure(figsize=(width, sum(TILE * count + 0.35 for count in rows)))
    areas = figure.subfigures(len(shown), 1, squeeze=False, height_ratios=rows)[:, 0]
    for area, (source, entries) in zip(areas, shown, strict=True):
        _part(area, experiment, source, entries)
    return figure


def _shown(experiment: Experiment) -> list[tuple[Source, list[Scores]]]:
    """Return, per dataset, the first surrogate that has scores, and the methods' scores."""
    groups = parts.by_surrogate(experiment)
    shown: dict[str, tuple[Source, list[Scores]]] = {}
    for source in experiment.sources:
        if parts.place(source) in groups:
            shown.setdefault(source.dataset, (source, groups[parts.place(source)]))
    if not shown:
        raise UserError(f"figure gallery: experiment {experiment.name!r} has no scores")
    return list(shown.values())


def _part(area: Figure, experiment: Experiment, source: Source, entries: list[Scores]) -> None:
    dataset = canonical.load(source.dataset_file)
    shown = shown_classes(dataset.classes)
    each = max(1, COLUMNS // len(shown))
    axes = area.subplots(2 * len(entries), len(shown) * each, squeeze=False)
    for ax in axes.flat:
        ax.set_frame_on(False)
        ax.set(xticks=[], yticks=[])
    area.suptitle(experiment.datasets[source.dataset], x=0.01, ha="left", fontsize=7)
    for i, entry in enumerate(entries):
        (scores,) = parts.read_arrays(entry.scores, "scores")
        if len(scores) != len(dataset.train_labels):
            raise UserError(
                f"{entry.scores}: {len(scores)} scores, {source.dataset} has "
                f"{len(dataset.train_labels)} training images"
            )
        for j, label in enumerate(shown):
            extremes = extreme_samples(scores, dataset.train_labels == label, each)
            for row, samples in zip(axes[2 * i : 2 * i + 2], extremes, strict=True):
                for ax, sample in zip(row[j * each : (j + 1) * each], samples, strict=False):
                    _tile(ax, dataset.train_images[sample])
        for ax, extreme in zip(axes[2 * i : 2 * i + 2, 0], ("highest", "lowest"), strict=True):
            ax.set_ylabel(
                f"{experiment.methods[entry.method]}\n{extreme}",
                rotation=0,
                ha="right",
                va="center",
            )
    names = dataset.info["class_names"]
    for j, label in enumerate(shown):
        axes[0, j * each].set_title(_short(str(names[label])), fontsize=6)


def shown_classes(classes: int) -> list[int]:
    """Return the classes that have columns: all, or ten spread evenly over many."""
    if classes <= COLUMNS:
        return list(range(classes))
    return np.linspace(0, classes - 1, COLUMNS).round().astype(int).tolist()


def extreme_samples(
    scores: np.ndarray, members: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the members (N,) bool of highest and of lowest score, `count` of each at most.

    Equal scores are in the order of the samples.
    """
    samples = np.flatnonzero(members)
    highest = samples[np.argsort(-scores[samples], kind="stable")[:count]]
    lowest = samples[np.argsort(scores[samples], kind="stable")[:count]]
    return highest, lowest


def _tile(ax: Axes, image: np.ndarray) -> None:
    ax.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest")


def _short(name: str, longest: int = 12) -> str:
    return name if len(name) <= longest else f"{name[: longest - 1]}…"
