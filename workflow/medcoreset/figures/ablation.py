"""The form that EVA's ablation figures share: two or more variants over the selection rate."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from medcoreset.figures import panels, style
from medcoreset.plan import FULL, Plan


def draw(
    plan: Plan,
    table: pd.DataFrame,
    figure_name: str,
    columns: Sequence[tuple[str, Sequence[str]]],
) -> Figure:
    """Draw a row of panels per dataset, protocol and network, one panel per comparison.

    `columns` are (what is compared, the keys of the compared rows).
    """
    panels.require(plan, figure_name, [key for _, keys in columns for key in keys])
    every = list(panels.panels(plan, table))
    figure, axes = style.grid(len(every), len(columns), height=1.6, share=True)
    for line, (dataset, block, title) in zip(axes, every, strict=True):
        for ax, (compared, keys) in zip(line, columns, strict=True):
            panels.over_rate(ax, plan, block, keys, dataset)
            head, *rest = title.split("\n")
            ax.set_title("\n".join([f"{head}: {compared}" if compared else head, *rest]))
        keys = [FULL, *(key for _, keys in columns for key in keys)]
        line[0].set_ylim(*style.limits(block.rows[block.rows["method"].isin(keys)]))
        line[0].set_ylabel("accuracy (%)")
    for ax in axes[-1]:
        ax.set_xlabel("selection rate (%)")
    style.letter(axes)
    style.legend_below(figure, axes)
    return figure
