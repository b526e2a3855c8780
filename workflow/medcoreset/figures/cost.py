"""What each row costs in seconds, by stage, beside the full training (EVA's Table A6)."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from medcoreset.analysis.costs import costs
from medcoreset.figures import style
from medcoreset.plan import FULL, NO_SURROGATE, Plan

NEEDS = ("numbers", "runs")

STAGES = {
    "surrogate": ("surrogate", "#0072B2", "s"),
    "evidence": ("evidence from it", "#56B4E9", "D"),
    "score": ("score", "#D55E00", "o"),
    "selection": ("selection", "#E69F00", "^"),
    "training": ("retraining", "#009E73", "v"),
    "total": ("in all", "#000000", "|"),
}
"""Stage → its name, colour and marker."""
SPREAD = 0.5
"""Height that the stages of one row share, of the distance between two rows."""
SHORTEST = 1e-4
"""Seconds; what took less is drawn there."""

numbers = costs


def draw(plan: Plan, numbers: pd.DataFrame) -> Figure:
    """Draw a panel per dataset, protocol, network and surrogate: rows × seconds, on a log axis.

    A stage has a marker per selection rate, joined by a line; the full training is a vertical line.
    """
    panels = _panels(numbers)
    methods = [key for key in plan.methods if key != FULL and key in set(numbers["method"])]
    columns = min(len(panels), 2)
    height = 0.55 + 0.27 * len(methods)
    figure, axes = style.grid(-(-len(panels) // columns), columns, height=height)
    for ax, (title, rows) in zip(axes.flat, panels, strict=False):
        _panel(ax, plan, rows, methods)
        ax.set_title("\n".join([plan.datasets[rows["dataset"].iloc[0]].label, *title]))
    for ax in axes.flat[len(panels) :]:
        ax.set_visible(False)
    for ax in axes.flat:
        ax.set_yticks(range(len(methods)), [plan.methods[key] for key in methods])
    for ax in axes[:, 1:].flat:
        ax.set_yticklabels([])
    for ax in axes[-1]:
        ax.set_xlabel("seconds")
    style.letter(axes)
    style.legend_below(figure, axes)
    return figure


def _panels(numbers: pd.DataFrame) -> list[tuple[list[str], pd.DataFrame]]:
    """Return what varies in words, and the rows, of each panel; those of no surrogate are in all."""
    place = ["protocol", "network", "surrogate"]
    known = numbers[numbers["surrogate"] != NO_SURROGATE]
    known = known if len(known) else numbers
    found = []
    for key, rows in known.groupby(["dataset", *place], sort=False):
        same = (numbers[["dataset", *place[:-1]]] == list(key[:-1])).all(axis=1)
        others = numbers[same & (numbers["surrogate"] == NO_SURROGATE)]
        varies = [name for name in place if known[name].nunique() > 1]
        words = ", ".join(
            f"selected with {value}" if name == "surrogate" else value
            for name, value in zip(place, key[1:], strict=True)
            if name in varies
        )
        block = pd.concat([rows, others]).drop_duplicates(["method", "rate"])
        found.append(([words] if words else [], block))
    return found


def _panel(ax: Axes, plan: Plan, rows: pd.DataFrame, methods: list[str]) -> None:
    ax.set_xscale("log")
    shifts = SPREAD * (np.arange(len(STAGES)) / (len(STAGES) - 1) - 0.5)
    for shift, (stage, (label, color, marker)) in zip(shifts, STAGES.items(), strict=True):
        look: dict[str, Any] = {"color": color, "marker": marker, "linewidth": 0.8, "zorder": 3}
        size: dict[str, Any] = {"markersize": 6, "markeredgewidth": 1} if marker == "|" else {}
        for place, method in enumerate(methods):
            of_method = rows[(rows["method"] == method) & rows[f"{stage}_s"].notna()].sort_values(
                "rate"
            )
            if len(of_method):
                seconds = of_method[f"{stage}_s"].clip(lower=SHORTEST)
                ax.plot(seconds, [place + shift] * len(seconds), label=label, **look, **size)
    full = rows["full_s"].dropna()
    if len(full):
        label = f"{plan.methods[FULL]} training"
        ax.axvline(full.iloc[0], color="black", linewidth=0.8, label=label, zorder=1.5)
    ax.set_ylim(len(methods) - 0.5, -0.5)
    ax.grid(visible=False, axis="y")
    for place in range(1, len(methods)):
        ax.axhline(place - 0.5, color="0.9", linewidth=0.5, zorder=1)
