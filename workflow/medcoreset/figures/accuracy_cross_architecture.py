"""Accuracy of every method's coresets on networks other than the surrogate (EVA's Table A5)."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from medcoreset.analysis.experiment import Experiment, percent
from medcoreset.analysis.tables import Block, blocks
from medcoreset.figures import style

SPREAD = 0.6
"""Height that the networks of one method share, of the distance between two methods."""


def draw(experiment: Experiment, table: pd.DataFrame) -> Figure:
    """Draw a panel per dataset, protocol, surrogate and selection rate: methods × networks."""
    lines = _lines(experiment, blocks(experiment, table))
    methods = [key for key in experiment.methods if key in set(table["method"])]
    columns = min(len(experiment.rates), 4)
    per_line = -(-len(experiment.rates) // columns)
    height = 0.5 + 0.19 * len(methods)
    figure, axes = style.grid(len(lines) * per_line, columns, height=height)
    for i, (title, dataset, parts) in enumerate(lines):
        part = list(axes[i * per_line : (i + 1) * per_line].flat)
        for ax, rate in zip(part, experiment.rates, strict=False):
            _panel(ax, experiment, parts, (dataset, rate), methods)
            ax.set_title(f"{experiment.datasets[dataset]}, {percent(rate)} %{title}")
        for ax in part[len(experiment.rates) :]:
            ax.set_visible(False)
    for ax in axes[:, 0]:
        ax.set_yticks(range(len(methods)), [experiment.methods[key] for key in methods])
    for ax in axes[:, 1:].flat:
        ax.set_yticks(range(len(methods)), [""] * len(methods))
    for ax in axes[-1]:
        ax.set_xlabel("accuracy (%)")
    style.letter(axes)
    style.legend_below(figure, axes)
    return figure


def _lines(experiment: Experiment, every: list[Block]) -> list[tuple[str, str, list[Block]]]:
    """Return (end of title, dataset, blocks of all networks) per dataset, protocol, surrogate."""
    kinds = dict.fromkeys((block.protocol, block.surrogate) for block in every)
    lines = []
    for protocol, surrogate in kinds:
        parts = [b for b in every if (b.protocol, b.surrogate) == (protocol, surrogate)]
        title = f"\n{experiment.protocols[protocol]}" if len(experiment.protocols) > 1 else ""
        if len({surrogate for _, surrogate in kinds}) > 1:
            title += f"\nselected with {experiment.network_label(surrogate)}"
        for dataset in experiment.datasets:
            if any((block.rows["dataset"] == dataset).any() for block in parts):
                lines.append((title, dataset, parts))
    return lines


def _panel(
    ax: Axes,
    experiment: Experiment,
    parts: list[Block],
    column: tuple[str, float],
    methods: list[str],
) -> None:
    networks = list(experiment.networks)
    drawn = []
    for block in parts:
        position = networks.index(block.network)
        shift = SPREAD * ((position + 0.5) / len(networks) - 0.5)
        cells = [(i + shift, block.cell(method, *column)) for i, method in enumerate(methods)]
        cells = [(place, cell) for place, cell in cells if cell is not None]
        if cells:
            places = [place for place, _ in cells]
            drawn.append(pd.DataFrame([cell for _, cell in cells]))
            label = experiment.network_label(block.network)
            _dots(ax, drawn[-1], places, style.of_network(position), label)
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
