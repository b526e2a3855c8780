"""How each method's scores are distributed over the training set."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from medcoreset.errors import UserError
from medcoreset.figures import parts, style
from medcoreset.plan import Plan, Scores

NEEDS = ("scores",)

BINS = 40
MOST_COLUMNS = 4


def draw(plan: Plan) -> Figure:
    """Draw a panel per method, of its first variant, and a heading per surrogate.

    The count is logarithmic: coresets are made of the tails.
    """
    groups = parts.by_surrogate(plan)
    if not groups:
        raise UserError(f"figure score_distribution: experiment {plan.name!r} has no scores")
    most = max(map(len, groups.values()))
    columns = -(-most // -(-most // MOST_COLUMNS))
    heights = [-(-len(entries) // columns) for entries in groups.values()]
    figure = Figure(figsize=(style.PAGE, sum(1.15 * rows + 0.25 for rows in heights)))
    areas = figure.subfigures(len(groups), 1, squeeze=False, height_ratios=heights)[:, 0]
    for area, rows, entries in zip(areas, heights, groups.values(), strict=True):
        title = ", ".join(parts.heading(plan, entries[0], plan.scores))
        area.suptitle(title, x=0.01, ha="left", fontsize=7)
        axes = area.subplots(rows, columns, squeeze=False, sharey=True)
        for ax, entry in zip(axes.flat, entries, strict=False):
            _panel(ax, plan, entry)
        axes[0, 0].set_ylim(bottom=0.7)  # a bin of one sample is seen
        for ax in axes.flat[len(entries) :]:
            ax.set_visible(False)
        for ax in axes[:, 0]:
            ax.set_ylabel("samples")
    return figure


def _panel(ax: Axes, plan: Plan, entry: Scores) -> None:
    (scores,) = parts.read_scores(entry, "scores")
    color, _ = style.of_method(entry.method, list(plan.methods))
    finite = scores[np.isfinite(scores)]
    values = np.unique(finite)
    whole = len(values) <= BINS and np.array_equal(values, np.round(values))
    # Counts have one bar each.
    edges = np.arange(values[0] - 0.5, values[-1] + 1).tolist() if whole else BINS
    ax.hist(finite, bins=edges, color=color, linewidth=0)
    ax.set_yscale("log")
    ax.locator_params(axis="x", nbins=5, integer=whole)
    ax.grid(visible=False, axis="x")
    ax.set_title(parts.variant_label(plan, entry))
