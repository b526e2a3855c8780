"""Accuracy of every method's coresets on networks other than the surrogate (EVA's Table A5)."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from medcoreset.analysis.tables import Block, blocks, percent
from medcoreset.figures import style
from medcoreset.plan import Plan

NEEDS = ("table",)
OF_MEANS = True

SPREAD = 0.6
"""Height that the networks of one method share, of the distance between two methods."""


def draw(plan: Plan, table: pd.DataFrame) -> Figure:
    """Draw a panel per dataset, protocol, surrogate and selection rate: methods × networks."""
    lines = _lines(plan, blocks(plan, table))
    methods = [key for key in plan.methods if key in set(table["method"])]
    columns = min(len(plan.rates), 4)
    per_line = -(-len(plan.rates) // columns)
    height = 0.5 + 0.19 * len(methods)
    figure, axes = style.grid(len(lines) * per_line, columns, height=height)
    for i, (title, dataset, parts) in enumerate(lines):
        part = list(axes[i * per_line : (i + 1) * per_line].flat)
        for ax, rate in zip(part, plan.rates, strict=False):
            _panel(ax, plan, parts, (dataset, rate), methods)
            ax.set_title(f"{plan.datasets[dataset].label}, {percent(rate)} %{title}")
        for ax in part[len(plan.rates) :]:
            ax.set_visible(False)
    for ax in axes[:, 0]:
        ax.set_yticks(range(len(methods)), [plan.methods[key] for key in methods])
    for ax in axes[:, 1:].flat:
        ax.set_yticks(range(len(methods)), [""] * len(methods))
    for ax in axes[-1]:
        ax.set_xlabel("accuracy (%)")
    style.letter(axes)
    style.legend_below(figure, axes)
    return figure


def _lines(plan: Plan, every: list[Block]) -> list[tuple[str, str, list[Block]]]:
    """Return (end of title, dataset, blocks of all networks) per dataset, protocol, surrogate."""
    kinds = dict.fromkeys((block.protocol, block.surrogate) for block in every)
    lines = []
    for protocol, surrogate in kinds:
        parts = [b for b in every if (b.protocol, b.surrogate) == (protocol, surrogate)]
        title = f"\n{protocol}" if len(plan.columns) > 1 else ""
        if len({surrogate for _, surrogate in kinds}) > 1:
            title += f"\nselected with {surrogate}"
        for dataset in plan.datasets:
            if any((block.rows["dataset"] == dataset).any() for block in parts):
                lines.append((title, dataset, parts))
    return lines


def _panel(
    ax: Axes,
    plan: Plan,
    parts: list[Block],
    column: tuple[str, float],
    methods: list[str],
) -> None:
    networks, drawn = plan.networks, []
    for block in parts:
        position = networks.index(block.network)
        shift = SPREAD * ((position + 0.5) / len(networks) - 0.5)
        cells = [(i + shift, block.cell(method, *column)) for i, method in enumerate(methods)]
        cells = [(place, cell) for place, cell in cells if cell is not None]
        if cells:
            places = [place for place, _ in cells]
            drawn.append(pd.DataFrame([cell for _, cell in cells]))
            _dots(ax, drawn[-1], places, style.of_network(position), block.network)
    ax.set_ylim(len(methods) - 0.5, -0.5)
    if drawn:
        ax.set_xlim(*style.limits(pd.concat(drawn)))


def _dots(
    ax: Axes, rows: pd.DataFrame, places: list[float], look: tuple[str, str], label: str
) -> None:
    color, marker = look
    ax.plot(rows["mean"], places, marker, color=color, label=label, zorder=3)
    ax.hlines(places, *style.intervals(rows), color=color, linewidth=0.8)
    for place, values in zip(places, rows["seeds"], strict=True):
        style.dots(ax, values, [place] * len(values), color)
    style.hollow(ax, rows["published_mean"], places, color, marker)
