"""What all figures share: type, colours, axes and how they are saved."""

import string
from collections.abc import Sequence
from colorsys import hls_to_rgb
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

from medcoreset.analysis.tables import percent
from medcoreset.atomic import replacing
from medcoreset.methods import METHODS
from medcoreset.plan import FULL

if TYPE_CHECKING:
    from matplotlib.typing import ColorType, RcKeyType

    Look = tuple[ColorType, str]
    """Colour and marker."""

COLUMN = 3.35
"""Width of a paper's column in inches."""
PAGE = 7.0
"""Width of its text in inches."""
INTERVAL = 5
"""Seeds from which on an interval is drawn: Student's of three is longer than what it describes."""
PUBLISHED = "published"
"""Name of the hollow markers in a legend."""

RC: "dict[RcKeyType, Any]" = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so that every machine draws alike
    "font.size": 7,
    "axes.titlesize": 7,
    "axes.labelsize": 7,
    "xtick.labelsize": 6,
    "ytick.labelsize": 6,
    "legend.fontsize": 6.5,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.titlelocation": "left",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "0.9",
    "grid.linewidth": 0.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "lines.linewidth": 1.1,
    "lines.markersize": 3.2,
    "lines.markeredgewidth": 0.7,
    "figure.dpi": 300,
    "savefig.dpi": 300,
    "figure.constrained_layout.use": True,
    "svg.fonttype": "none",  # text stays text
    "pdf.fonttype": 42,
    "svg.hashsalt": "medcoreset",  # equal figures are equal bytes
}

# Okabe and Ito's palette for the methods that meet most often, Tol's muted one for the others:
# both are told apart by the colour-blind. Markers differ too, for print in grey.
_METHODS = {
    FULL: ("#000000", ""),
    "random": ("#7F7F7F", "o"),
    "eva": ("#D55E00", "o"),
    "ccs": ("#009E73", "s"),
    "forgetting": ("#E69F00", "^"),
    "entropy": ("#CC79A7", "D"),
    "el2n": ("#0072B2", "v"),
    "aum": ("#56B4E9", "P"),
    "least_confidence": ("#882255", "X"),
    "margin": ("#AA4499", "<"),
    "grand": ("#332288", "s"),
    "herding": ("#DDCC77", "o"),
    "kcenter_greedy": ("#999933", "s"),
    "contextual_diversity": ("#661100", "^"),
    "cal": ("#6699CC", "h"),
    "deepfool": ("#A6761D", "v"),
    "craig": ("#117733", "P"),
    "gradmatch": ("#CC6677", "X"),
    "glister": ("#44AA99", ">"),
    "facility_location": ("#88CCEE", "D"),
    "graph_cut": ("#AA3377", "^"),
    "log_det": ("#4477AA", "<"),
    "importance_sampling": ("#228833", "p"),
    "var_dual": ("#D55E00", "o"),
    "var_single": ("#E69F00", "^"),
    "exp_dual": ("#0072B2", "s"),
    "exp_single": ("#56B4E9", "v"),
    "var_entire": ("#009E73", "D"),
}
_MARKERS = "sD^vPXoph<>*d8H"


def of_method(key: str, methods: Sequence[str]) -> tuple[str, str]:
    """Return the colour and marker of the row `key`, of which no other of `methods` has both.

    A registered method has the same in every figure: its own, or one of the many that `_further`
    gives, by its place among those without. A row that is not named after its method takes a
    later one, by its place among such rows of `methods`.
    """
    if key in _METHODS:
        return _METHODS[key]
    registered = [name for name in sorted(METHODS) if name not in _METHODS]
    rows = [row for row in methods if row not in _METHODS and row not in METHODS]
    return _further([*registered, *rows].index(key))


def _further(place: int) -> tuple[str, str]:
    """Return the colour and marker number `place`, all of them different.

    Hues are a golden angle apart, so that any number of them is spread evenly; neighbours differ
    in lightness, for the colour-blind and for print in grey.
    """
    hue = (0.08 + place * 0.381966) % 1
    lightness = (0.3, 0.5, 0.4, 0.62)[place % 4]
    return to_hex(hls_to_rgb(hue, lightness, 0.65)), _MARKERS[place % len(_MARKERS)]


def of_network(position: int) -> tuple[str, str]:
    """Return the colour and marker of an experiment's n-th network."""
    colors = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
    return colors[position % len(colors)], "osD^vP"[position % 6]


def grid(
    rows: int, columns: int, *, height: float, wide: bool = False, share: bool = False
) -> tuple[Figure, np.ndarray]:
    """Return a figure and its (rows, columns) axes, `height` inches per row.

    One column of panels is as wide as a column of text, unless `wide`; `share` gives the panels of
    a row the same y.
    """
    width = PAGE if wide or columns > 1 else COLUMN
    figure = Figure(figsize=(width, height * rows))
    return figure, figure.subplots(rows, columns, squeeze=False, sharey="row" if share else False)


def letter(axes: np.ndarray) -> None:
    """Put (a), (b), … before the titles of the panels that show something."""
    shown = [ax for ax in axes.flat if ax.get_visible()]
    if len(shown) > 1:
        for name, ax in zip(_letters(len(shown)), shown, strict=True):
            ax.set_title(f"({name}) {ax.get_title(loc='left')}")


def _letters(count: int) -> list[str]:
    alphabet = string.ascii_lowercase
    return [*alphabet, *(a + b for a in alphabet for b in alphabet)][:count]


def legend_below(figure: Figure, axes: np.ndarray) -> None:
    """Draw one legend for all panels below them, and make room for it."""
    entries: dict[str, Artist] = {}
    for ax in axes.flat:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    if any(line.get_label() == f"_{PUBLISHED}" for ax in axes.flat for line in ax.lines):
        entries[PUBLISHED] = Line2D(
            [],
            [],
            linestyle="none",
            marker="o",
            markersize=5,
            markerfacecolor="none",
            markeredgecolor="0.3",
        )
    if not entries:
        return
    width, height = figure.get_size_inches()
    fit = max(1, int(width / (0.5 + 0.055 * max(map(len, entries)))))
    rows = -(-len(entries) // fit)
    figure.set_size_inches(width, height + 0.15 * rows + 0.05)
    figure.legend(
        entries.values(),
        entries.keys(),
        loc="outside lower center",
        ncols=-(-len(entries) // rows),
        handlelength=2.2,
        columnspacing=1.2,
    )


def rate_axis(ax: Axes, rates: Sequence[float]) -> None:
    """Make x the selection rate in percent: logarithmic where the rates span a decade.

    Every rate has a tick; a label is left out where it would run into its neighbour's.
    """
    ticks = [100 * rate for rate in sorted(rates)]
    if len(ticks) > 1 and ticks[-1] / ticks[0] >= 10:
        ax.set_xscale("log")
        low, high = np.log(ticks[0]), np.log(ticks[-1])
        places = (np.log(ticks) - low) / (high - low)
    else:
        places = (np.array(ticks) - ticks[0]) / max(ticks[-1] - ticks[0], 1e-9)
    labels, last = [], -1.0
    for place, rate in zip(places, sorted(rates), strict=True):
        fits = place - last >= 0.075
        labels.append(percent(rate) if fits else "")
        last = place if fits else last
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_xticklabels(labels)


def beside(ax: Axes, x: pd.Series, rates: Sequence[float], places: float) -> pd.Series:
    """Return rates `x` in percent moved by some places, each 0.6 % of the axis that `rates` span."""
    low, high = 100 * min(rates), 100 * max(rates)
    if ax.get_xscale() == "log":
        return x * (high / low) ** (0.006 * places)
    return x + 0.006 * places * (high - low)


def curve(
    ax: Axes,
    rows: pd.DataFrame,
    x: pd.Series,
    look: "Look",
    *,
    band: bool = True,
    **line: Any,
) -> None:
    """Draw means, every seed as a dot, and the published means as hollow markers.

    `rows` are rows of the long table with their `seeds`, `x` their positions. The 95 % interval of
    a mean of `INTERVAL` seeds or more is a band, or bars where many lines cross.
    """
    color, marker = look
    line = {"zorder": 3} | line
    ax.plot(x, rows["mean"], color=color, marker=marker, **line)
    for place, values in zip(x, rows["seeds"], strict=True):
        dots(ax, [place] * len(values), values, color)
    low, high = intervals(rows)
    if band:
        ax.fill_between(x, low, high, color=color, alpha=0.13, linewidth=0, zorder=2)
    else:
        ax.vlines(x, low, high, color=color, alpha=0.7, linewidth=0.8, zorder=2)
    hollow(ax, x, rows["published_mean"], color, marker)


def dots(ax: Axes, x: Sequence[float], y: Sequence[float], color: "ColorType") -> None:
    """Draw single seeds, smaller than means."""
    look: dict[str, Any] = {"markersize": 2.2, "markeredgewidth": 0, "alpha": 0.45, "zorder": 2.5}
    ax.plot(x, y, linestyle="none", marker="o", color=color, label="_seeds", **look)


def intervals(rows: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Return the ends of the means' intervals that are drawn, NaN for those of too few seeds."""
    enough = rows["n"] >= INTERVAL
    return rows["ci_low"].where(enough), rows["ci_high"].where(enough)


def hollow(
    ax: Axes, x: Sequence[float], y: Sequence[float], color: "ColorType", marker: str
) -> None:
    """Draw published values as hollow markers, where there are any."""
    drawn = [(a, b) for a, b in zip(x, y, strict=True) if pd.notna(a) and pd.notna(b)]
    if drawn:
        ax.plot(
            *zip(*drawn, strict=True),
            linestyle="none",
            marker=marker,
            markersize=5,
            markerfacecolor="none",
            markeredgecolor=color,
            zorder=4,
            label=f"_{PUBLISHED}",  # the underscore keeps it out of the axes' own legend
        )


def limits(rows: pd.DataFrame) -> tuple[float, float]:
    """Return limits that hold all that is drawn of rows: means, seeds, intervals, published means."""
    drawn = [rows["mean"], rows["published_mean"], *intervals(rows), *rows["seeds"]]
    values = pd.concat([part.astype(float) for part in drawn]).dropna()
    low, high = values.min(), values.max()
    margin = max(0.08 * (high - low), 0.5)
    return max(low - margin, -margin), min(high + margin, 100 + margin)


def mark_rehearsal(figure: Figure) -> None:
    """Write across a figure that it is of a rehearsal, so that nobody takes it for a result."""
    look: dict[str, Any] = {
        "color": "#D55E00",
        "alpha": 0.5,
        "fontsize": 16,
        "rotation": 20,
        "zorder": 10,
    }
    figure.text(0.5, 0.5, "rehearsal, no result", ha="center", va="center", **look)


def save(figure: Figure, prefix: str | Path) -> None:
    """Write `prefix`.svg, .pdf and .png, each whole or not at all, without dates."""
    metadata = {
        ".svg": {"Date": None},
        ".pdf": {"CreationDate": None},
        ".png": {"Software": None},
    }
    figure.draw_without_rendering()  # lays the figure out, once for the three
    figure.set_layout_engine("none")
    for suffix, fields in metadata.items():
        with replacing(f"{prefix}{suffix}") as temporary:
            figure.savefig(temporary, metadata=fields)


def context() -> AbstractContextManager[None]:
    """Return the context in which figures are made and saved."""
    return matplotlib.rc_context(RC)
