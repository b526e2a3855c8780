"""EVA's Figures 5 and A1: accuracy over the start of the early window, for each late window."""

import re
from collections.abc import Sequence

import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from medcoreset.analysis.tables import Block, percent
from medcoreset.errors import UserError
from medcoreset.figures import panels, style
from medcoreset.plan import FULL, Plan

NEEDS = ("table",)
ROWS = (r"window_\d+(_\d+)?",)

KEY = re.compile(r"window_(\d+)(?:_(\d+))?")
SINGLE = 0
"""Stands for the late window of the rows that have none."""


def draw(plan: Plan, table: pd.DataFrame) -> Figure:
    """Draw a row of panels per dataset, protocol and network, one panel per selection rate.

    The rows are those of the keys `window_E_L` (windows that start at epochs E and L) and
    `window_E` (one window).
    """
    windows = {key: starts for key in plan.methods if (starts := _starts(key))}
    if not windows:
        raise UserError(f"figure eva_figure5: experiment {plan.name!r} has no rows window_E_L")
    every = list(panels.panels(plan, table))
    columns = min(len(plan.rates), 4)
    per_block = -(-len(plan.rates) // columns)
    figure, axes = style.grid(len(every) * per_block, columns, height=1.7)
    for i, (dataset, block, title) in enumerate(every):
        part = axes[i * per_block : (i + 1) * per_block].flat
        for ax, rate in zip(part, plan.rates, strict=False):
            _panel(ax, plan, block, rate, windows)
            panels.full_line(ax, plan, block, dataset)
            head, *rest = title.split("\n")
            ax.set_title("\n".join([f"{head}, {percent(rate)} %", *rest]))
        for ax in list(part)[len(plan.rates) :]:
            ax.set_visible(False)
    for ax in axes[:, 0]:
        ax.set_ylabel("accuracy (%)")
    for ax in axes[-1]:
        ax.set_xlabel("early window from (epoch)")
    style.letter(axes)
    style.legend_below(figure, axes)
    return figure


def _starts(key: str) -> tuple[int, int] | None:
    """Return the starts (early, late) that a row's key names; one window has `SINGLE` as late."""
    match = KEY.fullmatch(key)
    return (int(match[1]), int(match[2] or SINGLE)) if match else None


def _panel(
    ax: Axes,
    plan: Plan,
    block: Block,
    rate: float,
    windows: dict[str, tuple[int, int]],
) -> None:
    rows = block.rows[block.rows["method"].isin(windows) & (block.rows["rate"] == rate)]
    early = rows["method"].map(lambda key: windows[key][0])
    late = rows["method"].map(lambda key: windows[key][1])
    colors = late_colors(sorted({late for _, late in windows.values()} - {SINGLE}))
    for start in sorted(late.unique()):
        line = rows[late == start].assign(early=early).sort_values("early")
        look: style.Look
        if start == SINGLE:
            look, label, dashes = ("#7F7F7F", "D"), "single window", {"linestyle": (0, (4, 2))}
        else:
            look, label, dashes = (colors[start], "o"), f"late window from {start}", {}
        style.curve(ax, line, line["early"], look, band=False, label=label, **dashes)
    full = block.rows[block.rows["method"] == FULL]
    ax.set_ylim(*style.limits(pd.concat([rows, full])))


def late_colors(starts: Sequence[int]) -> dict[int, tuple[float, float, float, float]]:
    """Return a colour per start of the late window, from early (dark) to late (light)."""
    scale = colormaps["viridis"]
    span = max(len(starts) - 1, 1)
    return {start: scale(0.9 * i / span) for i, start in enumerate(starts)}
