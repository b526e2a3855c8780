"""Rows of a dataset's images, the classes side by side."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from medcoreset.datasets.canonical import Dataset, Images, dimensions_of

COLUMNS = 10
TILE = 0.55
"""Width of an image with its margin in inches."""
MARGIN = 0.08
"""Of the width of an image, to its neighbours."""


def show(ax: Axes, dataset: Dataset, rows: Sequence[Sequence[int | None]]) -> None:
    """Show rows of training images, `per_class` of each of the `shown_classes`, named above them."""
    picture = mosaic(dataset.train_images, rows, step_of(dataset))
    ax.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="nearest", aspect="equal")
    ax.set_anchor("W")
    ax.set_frame_on(False)
    ax.grid(visible=False)
    ax.tick_params(length=0, labeltop=True, labelbottom=False, labelsize=6.5)
    ax.set_xticks(*class_ticks(dataset, shown_classes(dataset.classes)))


def row_ticks(dataset: Dataset, rows: Sequence[float]) -> list[float]:
    """Return where the middle of each of `rows` is, in pixels."""
    return [step_of(dataset) * row + (dataset.image_size - 1) / 2 for row in rows]


def class_ticks(dataset: Dataset, classes: Sequence[int]) -> tuple[list[float], list[str]]:
    """Return where the columns of each shown class have their middle, and the names of `classes`."""
    step, each = step_of(dataset), per_class(dataset)
    middle = (dataset.image_size - 1) / 2 + step * (each - 1) / 2
    names = [_short(str(dataset.info["class_names"][label]), 12 * each) for label in classes]
    return [step * each * i + middle for i in range(len(names))], names


def step_of(dataset: Dataset) -> int:
    """Return the pixels from one image to the next."""
    return dataset.image_size + max(1, round(MARGIN * dataset.image_size))


def per_class(dataset: Dataset) -> int:
    """Return how many images of a class stand in a row: few classes have several."""
    return max(1, COLUMNS // len(shown_classes(dataset.classes)))


def shown_classes(classes: int) -> list[int]:
    """Return the classes that have columns: all, or ten spread evenly over many."""
    if classes <= COLUMNS:
        return list(range(classes))
    return np.linspace(0, classes - 1, COLUMNS).round().astype(int).tolist()


def mosaic(images: Images, rows: Sequence[Sequence[int | None]], step: int) -> np.ndarray:
    """Return the images (N, s, s[, 3]) of `rows` on white, `step` pixels apart; None is empty.

    Of volumes (N, s, s, s) it is the middle slice that is shown.
    """
    if isinstance(images, np.ndarray) and dimensions_of(images.shape) == 3:
        images = images[:, images.shape[1] // 2]
    size = images.shape[1]
    height, width = (step * count - (step - size) for count in (len(rows), len(rows[0])))
    picture = np.full((height, width, *images.shape[3:]), 255, dtype=np.uint8)
    for i, row in enumerate(rows):
        for j, sample in enumerate(row):
            if sample is not None:
                top, left = i * step, j * step
                picture[top : top + size, left : left + size] = images[sample]
    return picture


def _short(name: str, longest: int) -> str:
    return name if len(name) <= longest else f"{name[: longest - 1]}…"
