"""How well the rankings of methods find wrong labels: precision over recall."""

from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from medcoreset.analysis.detection import Ranking, detection, rankings
from medcoreset.errors import UserError
from medcoreset.figures import parts, style
from medcoreset.plan import Plan
from medcoreset.reporting.metrics import detections

NEEDS = ("numbers", "rankings")

POINTS = 200
"""Recalls at which a curve is drawn."""
CHARACTERS = 96
"""Of the titles of panels side by side."""
LEAST = 10
"""Samples from which on precision is drawn: of fewer it jumps."""

numbers = detection


def draw(plan: Plan, numbers: pd.DataFrame) -> Figure:
    """Draw a panel per dataset and surrogate's network: the first surrogate's curves, a line per method.

    The dashed line is the share of wrong labels, which a ranking at random has as precision.
    """
    groups: dict[tuple[str, str, str], dict[str, Ranking]] = {}
    for each in rankings(plan):
        entry = each.entry
        group = groups.setdefault((entry.dataset, entry.protocol, entry.model), {})
        group.setdefault(entry.method, each)  # of several, the first surrogate and variant
    if not groups:
        raise UserError(
            f"figure detection: experiment {plan.name!r} has no ranking of a training set with wrong labels"
        )
    columns = 3 if len(groups) % 3 == 0 else min(len(groups), 2)
    figure, axes = style.grid(-(-len(groups) // columns), columns, height=1.9, share=True)
    every = [each.entry for group in groups.values() for each in group.values()]
    for ax, group in zip(axes.flat, groups.values(), strict=False):
        _panel(ax, plan, group)
        lines = parts.heading(plan, next(iter(group.values())).entry, every)
        ax.set_title("\n".join(fill(line, CHARACTERS // columns) for line in lines))
    for ax in axes.flat[len(groups) :]:
        ax.set_visible(False)
    for ax in axes[:, 0]:
        ax.set_ylabel("precision (%)")
    for column in axes.T:
        lowest = [ax for ax in column if ax.get_visible()][-1]
        lowest.set_xlabel("wrong labels found, recall (%)")
    style.letter(axes)
    style.legend_below(figure, axes)
    return figure


def _panel(ax: Axes, plan: Plan, group: dict[str, Ranking]) -> None:
    for method, each in group.items():
        found, right = detections(each.suspicion, each.wrong)
        enough = found + right >= LEAST
        recall, precision = found[enough] / found[-1], found[enough] / (found + right)[enough]
        kept = np.unique(
            np.searchsorted(recall, np.linspace(0, 1, POINTS)).clip(0, len(recall) - 1)
        )
        color, marker = style.of_method(method, list(plan.methods))
        look: dict[str, Any] = {"color": color, "marker": marker, "markevery": 0.2}
        ax.plot(100 * recall[kept], 100 * precision[kept], label=plan.methods[method], **look)
    share = 100 * next(iter(group.values())).wrong.mean()
    ax.axhline(share, color="0.4", linewidth=0.8, linestyle=(0, (4, 2)), zorder=1.5)
    ax.set_xlim(0, 100)
    ax.set_ylim(0, 102)
