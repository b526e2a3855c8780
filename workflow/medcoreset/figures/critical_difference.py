"""Mean ranks of the rows over datasets and selection rates (critical difference diagram; Demšar 2006)."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from medcoreset.analysis.comparison import Ranks, groups, ranks
from medcoreset.analysis.tables import Block, blocks
from medcoreset.figures import style
from medcoreset.plan import FULL, Plan

NEEDS = ("table",)
OF_MEANS = True

BLOCKS = 6
"""Fewer blocks than this are not ranked: Friedman's test is an approximation for many."""
LINE = 0.13
"""Height of a row's label in inches."""


def draw(plan: Plan, table: pd.DataFrame) -> Figure:
    """Draw an axis of mean ranks per protocol, network and surrogate.

    Rows that store the full training set are none among equals, and have no rank. Rows joined by a bar differ by less than Nemenyi's critical difference at 5 %. Where fewer than
    `BLOCKS` datasets × rates have every row, a line says so in place of ranks.
    """
    every = blocks(plan, table)
    means = [_means(plan, block) for block in every]
    sides = -(-max(frame.shape[1] for frame in means) // 2)
    height = 0.95 + LINE * (sides + 3)
    figure, axes = style.grid(len(every), 1, height=height, wide=True)
    for ax, block, frame in zip(axes[:, 0], every, means, strict=True):
        datasets = ", ".join(
            plan.datasets[name].label
            for name in dict.fromkeys(dataset for dataset, _ in frame.index)
        )
        of = f"{datasets}: " if datasets else ""
        ax.set_title(f"{of}{len(frame)} blocks\n{_name(block)}")
        ax.set_axis_off()
        if len(frame) < BLOCKS or frame.shape[1] < 3:
            words = f"fewer than {BLOCKS} blocks of three rows, so no ranks"
            ax.text(0.5, 0.5, words, ha="center", va="center", transform=ax.transAxes)
        else:
            _diagram(ax, plan, ranks(frame), (height - 0.4) / LINE)
    style.letter(axes)
    return figure


def _name(block: Block) -> str:
    return f"{block.protocol}, {block.network}, selected with {block.surrogate}"


def _means(plan: Plan, block: Block) -> pd.DataFrame:
    """Return the means of the blocks (dataset and rate) in which all rows are, a row per column."""
    rows = block.rows[~block.rows["method"].isin([FULL, *plan.dynamic])]
    wide = rows.pivot(index=["dataset", "rate"], columns="method", values="mean")
    order = [key for key in plan.methods if key in wide]
    places = [dataset for dataset in plan.datasets if dataset in wide.index]
    return wide[order].dropna().reindex(places, level="dataset")


def _diagram(ax: Axes, plan: Plan, found: Ranks, lines: float) -> None:
    """Draw the axis of ranks, 1 at the right, the labels below it, and bars over groups."""
    order = found.mean.sort_values()
    count = len(order)
    ax.set_xlim(count + 0.9, 0.1)
    ax.set_ylim(lines - 4, -4)
    ink: dict[str, Any] = {"color": "0.15", "linewidth": 0.8, "solid_capstyle": "butt"}
    ax.plot([1, count], [0, 0], **ink)
    for rank in range(1, count + 1):
        ax.plot([rank, rank], [-0.4, 0], **ink)
        ax.text(rank, -0.7, str(rank), ha="center", va="bottom", fontsize=6)
    left = count - found.critical
    ax.plot([count, max(left, 1)], [-2.6, -2.6], **ink)
    p = "p < .001" if found.p < 0.001 else f"p = {found.p:.3f}".replace("0.", ".")
    words = f"critical difference {found.critical:.2f} (Nemenyi, 5 %); Friedman {p}"
    ax.text(count, -3.0, words, ha="left", va="bottom", fontsize=6)
    bars = groups(order, found.critical)
    for level, (first, last) in enumerate(bars):
        ends = [order.iloc[first] - 0.04, order.iloc[last] + 0.04]
        ax.plot(ends, [0.6 + 0.5 * level] * 2, color="0.15", linewidth=2, solid_capstyle="butt")
    below = 1.4 + 0.5 * len(bars)
    best = -(-count // 2)
    for place, (method, rank) in enumerate(order.items()):
        right = place < best
        y = below + (place if right else count - 1 - place)
        x = 0.8 if right else count + 0.2
        color, _ = style.of_method(method, list(plan.methods))
        ax.plot([rank, rank, x], [0, y, y], color=color, linewidth=0.8)
        label = f"{plan.methods[method]}  {rank:.2f}"
        ax.text(
            x - 0.05 if right else x + 0.05,
            y,
            label,
            ha="left" if right else "right",
            va="center",
            fontsize=6.5,
        )
