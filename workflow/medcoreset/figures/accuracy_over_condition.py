"""Accuracy over the share of wrong labels, of copies, or the imbalance of the classes."""

from collections.abc import Iterator
from dataclasses import replace
from textwrap import fill

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

from medcoreset.analysis.tables import METRICS, Block, blocks, percent
from medcoreset.datasets.series import Series, series_of
from medcoreset.errors import UserError
from medcoreset.figures import panels, style
from medcoreset.plan import FULL, Plan

NEEDS = ("table",)

AXES = {
    "noise": ("wrong training labels (%)", "accuracy"),
    "asymmetric": ("wrong training labels, of the next class (%)", "accuracy"),
    "imbalance": ("smallest class / largest class", "balanced_accuracy"),
    "duplicates": ("copies in the training set (%)", "accuracy"),
}
"""Condition → the name of its axis, and the metric that is drawn over it."""
CHARACTERS = 96
"""Of the titles of panels side by side."""


def draw(plan: Plan, table: pd.DataFrame) -> Figure:
    """Draw a panel per series of datasets, block and rate: condition × accuracy, a line per method."""
    every = list(_panels(plan, table))
    if not every:
        raise UserError(
            f"figure accuracy_over_condition: experiment {plan.name!r} has no two datasets that differ "
            f"in {', '.join(AXES)} alone"
        )
    methods = [key for key in plan.methods if key != FULL]
    columns = min(len(every), 2 if len(every) % 2 == 0 or len(every) == 1 else 3)
    many = len(methods) > panels.MANY
    height = 2.7 if many else 1.9
    figure, axes = style.grid(-(-len(every) // columns), columns, height=height, wide=many)
    for ax, (series, block, rate, heading) in zip(axes.flat, every, strict=False):
        _panel(ax, plan, series, block, rate)
        ax.set_title("\n".join(fill(line, CHARACTERS // columns) for line in heading.split("\n")))
        ax.set_xlabel(AXES[series.condition][0])
        name = METRICS[block.metric][0] or "Accuracy"
        ax.set_ylabel(f"{name.lower()} (%)")
    for ax in axes.flat[len(every) :]:
        ax.set_visible(False)
    style.letter(axes)
    style.legend_below(figure, axes)
    return figure


def _panels(plan: Plan, table: pd.DataFrame) -> Iterator[tuple[Series, Block, float, str]]:
    for series in series_of(plan.datasets):
        for block in blocks(plan, table, AXES[series.condition][1]):
            rows = block.rows[block.rows["dataset"].isin(series.values)]
            part = replace(block, rows=rows)
            for rate in plan.rates:
                heading, *rest = panels.title(plan, part, series.label).split("\n")
                yield (
                    series,
                    part,
                    rate,
                    "\n".join([f"{heading}, coresets of {percent(rate)} %", *rest]),
                )


def _panel(ax: Axes, plan: Plan, series: Series, block: Block, rate: float) -> None:
    methods = [key for key in plan.methods if key != FULL]
    rows = block.rows.assign(value=block.rows["dataset"].map(series.values)).sort_values("value")
    full = rows[rows["method"] == FULL]
    rows = rows[(rows["rate"] == rate) & (rows["method"] != FULL)]
    values = list(series.values.values())
    scale = 1.0
    if series.condition == "imbalance":
        ax.set_xscale("log")
        ax.invert_xaxis()
    else:
        scale = 100.0
    ticks = [scale * value for value in values]
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_xticklabels([f"{tick:g}" for tick in ticks])
    for method in methods:
        of_method = rows[rows["method"] == method]
        if len(of_method):
            line = {"linestyle": (0, (4, 2))} if method == "random" else {}
            look = style.of_method(method, list(plan.methods))
            label = plan.methods[method]
            x = scale * of_method["value"]
            band = len(methods) <= panels.BANDS
            style.curve(ax, of_method, x, look, band=band, label=label, **line)
    if len(full):
        x, label = scale * full["value"], plan.methods[FULL]
        ax.plot(x, full["mean"], label=label, color="black", linewidth=0.8, marker="", zorder=1.5)
    drawn = pd.concat([rows, full])
    ax.set_ylim(*style.limits(drawn))
