"""How much of EVA's coreset depends on where the two windows lie."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from medcoreset import identity
from medcoreset.errors import UserError
from medcoreset.figures import parts, style
from medcoreset.plan import Part, Plan
from medcoreset.selection.budget import budget

NEEDS = ("scores", "windows")

RATE = 0.1


def draw(plan: Plan) -> Figure:
    """Draw a heat map per dataset, protocol and surrogate.

    A cell is the share of the reference's top 10 % that a pair of windows picks too; the reference
    is the experiment's first EVA variant, or else the first pair.
    """
    grids = plan.windows
    columns = min(len(grids), 2)
    figure, axes = style.grid(-(-len(grids) // columns), columns, height=2.9)
    image = None
    for ax, windows in zip(axes.flat, grids, strict=False):
        image, reference = _panel(ax, plan, windows)
        title = parts.heading(plan, windows, grids)
        ax.set_title("\n".join([*title, f"compared with {reference}"]))
    for ax in axes.flat[len(grids) :]:
        ax.set_visible(False)
    for ax in axes[:, 0]:
        ax.set_ylabel("start of the early window (epoch)")
    for ax in axes[-1]:
        ax.set_xlabel("start of the late window (epoch)")
    style.letter(axes)
    if image is not None:
        bar = figure.colorbar(image, ax=axes, aspect=30, pad=0.02, shrink=0.9)
        bar.set_label("share of the top 10 % in common (%)")
        bar.outline.set_visible(False)
    return figure


def _panel(ax: Axes, plan: Plan, windows: Part) -> tuple[AxesImage, str]:
    scores, pairs = parts.read_scores(windows, "scores", "pairs")
    name, reference = _reference(plan, windows, scores, pairs)
    shares = 100 * overlap(scores, reference, RATE)
    early, late = np.unique(pairs[:, 0]), np.unique(pairs[:, 1])
    cells = np.full((len(early), len(late)), np.nan)
    cells[np.searchsorted(early, pairs[:, 0]), np.searchsorted(late, pairs[:, 1])] = shares
    image = ax.imshow(cells, cmap="viridis", vmin=0, vmax=100, aspect="equal", origin="lower")
    for ticks, starts in ((ax.set_xticks, late), (ax.set_yticks, early)):
        step = max(1, len(starts) // 6)
        ticks(range(0, len(starts), step), starts[::step])
    ax.grid(visible=False)
    return image, name


def _reference(
    plan: Plan, windows: Part, scores: np.ndarray, pairs: np.ndarray
) -> tuple[str, np.ndarray]:
    """Return the name and the (N,) scores of what every pair is compared with."""
    for entry in plan.scores:
        method, _ = identity.split(entry.variant, "variant")
        if parts.place(entry) == parts.place(windows) and method == "eva":
            (values,) = parts.read_scores(entry, "scores")
            if values.shape != scores.shape[1:]:
                raise UserError(
                    f"{entry.path}: {len(values)} scores, {windows.path} is of {scores.shape[1]}"
                )
            return parts.variant_label(plan, entry), values
    return f"windows at {pairs[0, 0]} and {pairs[0, 1]}", scores[0]


def overlap(scores: np.ndarray, reference: np.ndarray, rate: float) -> np.ndarray:
    """Return the (P,) shares in [0, 1] of the reference's top ⌈rate·N⌉ in those of `scores` (P, N).

    Equal scores are kept in the order of the samples.
    """
    count = budget(rate, len(reference))
    kept = np.zeros(len(reference), dtype=bool)
    kept[np.argsort(-reference, kind="stable")[:count]] = True
    tops = np.argsort(-scores, axis=1, kind="stable")[:, :count]
    return kept[tops].mean(axis=1)
