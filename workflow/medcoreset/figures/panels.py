"""Panels of accuracy: one per dataset and block of the table."""

from collections.abc import Callable, Iterator, Sequence
from textwrap import fill

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from medcoreset.analysis.tables import Block, blocks
from medcoreset.errors import UserError
from medcoreset.figures import style
from medcoreset.plan import FULL, INDEPENDENT, NO_SURROGATE, Plan

MANY = 8
"""More methods than this need a page's width."""

BANDS = 4
"""More methods than this get bars, side by side, in place of bands that hide each other."""


def panels(plan: Plan, table: pd.DataFrame) -> Iterator[tuple[str, Block, str]]:
    """Yield (dataset, block with that dataset's rows alone, title) in the experiment's order."""
    every = blocks(plan, table)
    for block in every:
        for dataset, shown in plan.datasets.items():
            rows = block.rows[block.rows["dataset"] == dataset]
            if len(rows):
                part = Block(block.protocol, block.network, block.surrogate, rows)
                yield dataset, part, title(plan, part, shown.label)


def title(plan: Plan, block: Block, dataset: str) -> str:
    """Return a panel's title: the dataset, and of the rest what the experiment varies."""
    parts = []
    if len(plan.columns) > 1:
        parts.append(block.protocol)
    if len(plan.networks) > 1:
        parts.append(block.network)
    surrogates = {run.model for run in plan.runs if run.method not in INDEPENDENT}
    if len(surrogates - {NO_SURROGATE}) > 1:
        parts.append(f"selected with {block.surrogate}")
    return "\n".join([dataset, *(fill(", ".join(parts), 48).split("\n") if parts else [])])


def tiles(plan: Plan, table: pd.DataFrame, methods: Sequence[str]) -> Figure:
    """Draw `over_rate` in one panel per dataset and block, the datasets of a block in a row."""

    def panel(ax: Axes, block: Block, dataset: str) -> None:
        over_rate(ax, plan, block, methods, dataset)

    return laid_out(plan, table, methods, panel, "selection rate (%)")


def laid_out(
    plan: Plan,
    table: pd.DataFrame,
    methods: Sequence[str],
    panel: Callable[[Axes, Block, str], None],
    x: str,
) -> Figure:
    """Draw `panel` (axes, block, dataset) of accuracies per dataset and block; `x` names the axis."""
    every = list(panels(plan, table))
    columns = min(len(every), max(len(plan.datasets), 2))
    many = len(methods) > MANY
    height = 2.8 if many else 1.9
    figure, axes = style.grid(-(-len(every) // columns), columns, height=height, wide=many)
    for ax, (dataset, block, heading) in zip(axes.flat, every, strict=False):
        panel(ax, block, dataset)
        ax.set_title(heading)
    for ax in axes.flat[len(every) :]:
        ax.set_visible(False)
    for ax in axes[:, 0]:
        ax.set_ylabel("accuracy (%)")
    for ax in axes[-1]:
        ax.set_xlabel(x)
    style.letter(axes)
    style.legend_below(figure, axes)
    return figure


def over_rate(ax: Axes, plan: Plan, block: Block, methods: Sequence[str], dataset: str) -> None:
    """Draw the accuracy of `methods` over the selection rate, and the full set's as a line.

    Rows that store the full set too, and select anew in every epoch, are dotted.
    """
    drawn = block.rows[block.rows["method"].isin([*methods, FULL])]
    band = len(methods) <= BANDS
    # Means alone, as papers print them, hide nothing of each other's.
    apart = not band and any(map(len, drawn["seeds"]))
    style.rate_axis(ax, plan.rates)
    for place, method in enumerate(methods):
        rows = drawn[drawn["method"] == method].sort_values("rate")
        if rows.empty:
            continue
        look = style.of_method(method, list(plan.methods))
        line = {"linestyle": (0, (4, 2))} if method == "random" else {}
        label = plan.methods[method]
        if method in plan.dynamic:
            line, label = {"linestyle": (0, (1, 1))}, f"{label} (all samples stored)"
        x = 100 * rows["rate"]
        if apart:
            x = style.beside(ax, x, plan.rates, place - (len(methods) - 1) / 2)
        style.curve(ax, rows, x, look, band=band, label=label, **line)
    full_line(ax, plan, block, dataset)
    ax.set_ylim(*style.limits(drawn))


def full_line(ax: Axes, plan: Plan, block: Block, dataset: str) -> None:
    """Draw the accuracy of the full training set as a horizontal line, if it was trained."""
    cell = block.cell(FULL, dataset, 1.0)
    if cell is not None:
        label = plan.methods[FULL]
        ax.axhline(cell["mean"], color="black", linewidth=0.8, label=label, zorder=1.5)


def require(plan: Plan, figure: str, wanted: Sequence[str]) -> None:
    """Raise a `UserError` unless the experiment has all rows that a figure compares."""
    if missing := [key for key in wanted if key not in plan.methods]:
        raise UserError(
            f"figure {figure}: experiment {plan.name!r} lacks the rows {', '.join(missing)}"
        )
