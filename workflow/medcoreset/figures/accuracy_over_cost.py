"""Accuracy over what it costs to get there: surrogate, evidence, score, selection and retraining."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from medcoreset.analysis.costs import CELL, costs
from medcoreset.analysis.tables import Block
from medcoreset.figures import panels, style
from medcoreset.plan import FULL, Plan

NEEDS = ("table", "numbers", "runs")

numbers = costs


def draw(plan: Plan, table: pd.DataFrame, numbers: pd.DataFrame) -> Figure:
    """Draw a panel per dataset and block: seconds in all, on a log axis, × accuracy.

    A row's selection rates are joined by a line. The full training's accuracy and seconds are lines that
    cross the panel: what lies right of them cost more than to train on everything.
    """
    # A table's protocol may be one whose runs it reports under another rule.
    trained = {run.column: run.protocol for run in plan.runs}
    key = [name for name in CELL if name != "protocol"]

    def panel(ax: Axes, block: Block, dataset: str) -> None:
        seconds = numbers[numbers["protocol"] == trained[block.protocol]][[*key, "total_s"]]
        _panel(ax, plan, block, block.rows.merge(seconds, on=key), dataset)

    methods = [method for method in plan.methods if method != FULL]
    return panels.laid_out(plan, table, methods, panel, "seconds in all")


def _panel(ax: Axes, plan: Plan, block: Block, rows: pd.DataFrame, dataset: str) -> None:
    ax.set_xscale("log")
    for method in (key for key in plan.methods if key != FULL):
        of_method = rows[rows["method"] == method].sort_values("rate")
        if len(of_method):
            line = {"linestyle": (0, (4, 2))} if method == "random" else {}
            look = style.of_method(method, list(plan.methods))
            label = plan.methods[method]
            style.curve(ax, of_method, of_method["total_s"], look, band=False, label=label, **line)
    panels.full_line(ax, plan, block, dataset)
    full = rows[rows["method"] == FULL]
    if len(full):
        ax.axvline(full["total_s"].iloc[0], color="black", linewidth=0.8, zorder=1.5)
    ax.set_ylim(*style.limits(rows))
