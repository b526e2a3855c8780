"""What every row gains over the reference row, seed by seed, at each selection rate."""

from textwrap import fill

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from medcoreset.analysis.comparison import LEVEL, align
from medcoreset.analysis.tables import Block, percent
from medcoreset.errors import UserError
from medcoreset.figures import panels, style
from medcoreset.plan import FULL, Plan

NEEDS = ("table",)

CHARACTERS = 90
"""Of the titles of panels side by side."""


def draw(plan: Plan, table: pd.DataFrame) -> Figure:
    """Draw a row of panels per dataset and block, one per rate: rows × difference in points.

    Dots are the pairs, the marker their mean, filled where the difference is significant after
    the correction, and the bar its 95 % interval.
    """
    reference = plan.reference
    if reference not in plan.methods:
        raise UserError(
            f"figure paired_difference: experiment {plan.name!r} lacks the row {reference}"
        )
    methods = [key for key in plan.methods if key not in (reference, FULL)]
    if not methods:
        raise UserError(
            f"figure paired_difference: experiment {plan.name!r} has no row beside {reference}"
        )
    every = list(panels.panels(plan, table))
    columns = min(len(plan.rates), 4)
    per_block = -(-len(plan.rates) // columns)
    height = 0.45 + 0.16 * len(methods)
    figure, axes = style.grid(len(every) * per_block, columns, height=height)
    for i, (dataset, block, title) in enumerate(every):
        part = list(axes[i * per_block : (i + 1) * per_block].flat)
        for ax, rate in zip(part, plan.rates, strict=False):
            _panel(ax, plan, block, (dataset, rate), methods)
            head, *rest = title.split("\n")
            first = fill(f"{head}, {percent(rate)} %", CHARACTERS // columns)
            ax.set_title("\n".join([first, *rest]))
        for ax in part[len(plan.rates) :]:
            ax.set_visible(False)
    for line in axes:
        for place, ax in enumerate(line):
            labels = [plan.methods[key] if place == 0 else "" for key in methods]
            ax.set_yticks(range(len(methods)), labels)
    for ax in axes[-1]:
        ax.set_xlabel(f"accuracy − {plan.methods[reference]}\n(percentage points)")
    style.letter(axes)
    return figure


def _panel(
    ax: Axes, plan: Plan, block: Block, column: tuple[str, float], methods: list[str]
) -> None:
    ax.axvline(0, color="0.4", linewidth=0.8, zorder=1.5)
    ax.set_ylim(len(methods) - 0.5, -0.5)
    reference = block.cell(plan.reference, *column)
    for place, method in enumerate(methods):
        cell = block.cell(method, *column)
        if cell is None or reference is None or pd.isna(cell["gain"]):
            continue
        color, marker = style.of_method(method, list(plan.methods))
        pairs = align({"row": cell["seeds"], "reference": reference["seeds"]})
        differences = (pairs["row"] - pairs["reference"]).dropna()
        style.dots(ax, differences, [place + 0.22] * len(differences), color)
        if cell["pairs"] >= style.INTERVAL:
            ax.hlines(place, cell["gain_low"], cell["gain_high"], color=color, linewidth=0.9)
        shown = cell["p_holm"] < LEVEL
        fill = color if shown else "white"
        ax.plot(cell["gain"], place, marker, color=color, markerfacecolor=fill, zorder=3)
