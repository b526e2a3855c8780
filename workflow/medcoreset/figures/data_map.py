"""Data maps: confidence over variability of every training sample, and where coresets lie on them."""

from functools import partial
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from medcoreset.analysis.fit import Fit
from medcoreset.errors import UserError
from medcoreset.evidence import Evidence, statistics
from medcoreset.figures import parts, style
from medcoreset.plan import FULL, NO_SURROGATE, Part, Plan, Reported
from medcoreset.reading import read_json
from medcoreset.selection.coreset import read_coreset

NEEDS = ("sources", "runs")

SHOWN = 2000
"""Samples of a panel, drawn by lot: more hide each other."""
COLORS = "viridis"
ALL = "Training set"
CHARACTERS = 22
"""Of a line of a dataset's name, which stands beside its row, and of a method's, above its panel."""
COLUMNS = 4
"""Panels that stand side by side; more go on below."""


def draw(plan: Plan) -> Figure:
    """Draw for each surrogate of the first seed the training set, and the coreset of each method.

    x is the standard deviation over epochs of the probability of the given label, y its mean, the
    colour the share of epochs at which the prediction was that label (Swayamdipta et al., EMNLP 2020,
    Section 2 and Figure 1). Coresets are those of the lowest rate and of the first seed. Crosses are wrong
    labels, where it is known which are.
    """
    check = Fit(plan)
    every = {parts.place(source): source for source in plan.sources}
    if not every:
        raise UserError(f"figure data_map: experiment {plan.name!r} has no training dynamics")
    rows = {place: _coresets(plan, source) for place, source in every.items()}
    panels = 1 + max(map(len, rows.values()))
    columns, lines = min(panels, COLUMNS), -(-panels // COLUMNS)
    figure, axes = style.grid(
        len(rows) * lines, columns, height=style.PAGE / columns + 0.5, wide=True
    )
    for first, (place, chosen) in enumerate(rows.items()):
        for run in chosen.values():
            check(run, read_json(run.metrics, "the metrics of a run"))
        _row(axes[lines * first : lines * (first + 1)].ravel(), plan, every[place], chosen)
    for ax in axes[:, 1:].flat:
        ax.set_yticklabels([])
    for column in axes.T:
        for ax, below in zip(column, [*column[1:], None], strict=True):
            if below is None or not below.get_visible():
                ax.set_xlabel("variability")
    style.letter(axes)
    bar = ScalarMappable(Normalize(0, 1), COLORS)
    figure.colorbar(bar, ax=axes, label="correctness", shrink=0.6, aspect=25, pad=0.01)
    handles = [
        Line2D([], [], linestyle="none", marker=marker, color="0.3", markersize=3, label=label)
        for marker, label in (("o", "right label"), ("x", "wrong label"))
    ]
    handles.append(
        Line2D(
            [],
            [],
            linestyle="none",
            marker="o",
            color="0.85",
            markersize=3,
            label="not in the coreset",
        )
    )
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure


def data_map(evidence: Evidence) -> pd.DataFrame:
    """Return `variability`, `confidence` and `correctness` of each sample; NaN where none is recorded."""
    variance = evidence.over_epochs("target_prob", partial(statistics.variance, ddof=0))
    return pd.DataFrame(
        {
            "variability": np.sqrt(variance),
            "confidence": evidence.over_epochs("target_prob", statistics.mean),
            "correctness": evidence.over_epochs("correct", statistics.mean),
        }
    )


def _coresets(plan: Plan, source: Part) -> dict[str, Reported]:
    """Return a run per method whose coresets lie on this map, of the lowest rate."""
    found: dict[str, Reported] = {}
    for run in sorted(plan.runs, key=lambda run: run.rate):
        of_place = (run.dataset, run.protocol) == (source.dataset, source.protocol)
        whose = run.surrogate in (source.surrogate, NO_SURROGATE)
        if of_place and whose and run.method != FULL:
            found.setdefault(run.method, run)
    return {method: found[method] for method in plan.methods if method in found}


def _row(line: np.ndarray, plan: Plan, source: Part, chosen: dict[str, Reported]) -> None:
    dataset = parts.read_dataset(plan, source.dataset)
    places = data_map(parts.read_evidence(source))
    wrong = dataset.corrupted
    wrong = np.zeros(len(places), bool) if wrong is None else wrong
    order = np.random.default_rng(0).permutation(len(places))
    everything = np.zeros(len(places), bool)
    everything[order[:SHOWN]] = True
    _panel(line[0], places, everything, ~everything & everything, wrong)
    lines = parts.heading(plan, source, plan.sources)
    head = "\n".join(fill(text, CHARACTERS) for text in lines)
    line[0].set_title(_title(ALL, wrong, np.ones(len(wrong), bool)))
    line[0].set_ylabel(f"{head}\nconfidence")
    for ax, (method, run) in zip(line[1:], chosen.items(), strict=False):
        seed = min(run.seeds)
        indices = read_coreset(Path(run.coresets, f"seed{seed}.npz")).indices
        inside = np.zeros(len(places), bool)
        inside[indices] = True
        few = np.zeros(len(places), bool)
        few[[i for i in order if inside[i]][:SHOWN]] = True
        _panel(ax, places, few, everything & ~inside, wrong)
        ax.set_title(_title(plan.methods[method], wrong, inside))
    for ax in line[1 + len(chosen) :]:
        ax.set_visible(False)


def _title(name: str, wrong: np.ndarray, inside: np.ndarray) -> str:
    """Return a panel's name, and of labels that were made wrong the share of them that it has."""
    name = fill(name, CHARACTERS)
    return f"{name}\n{100 * wrong[inside].mean():.0f} % wrong labels" if wrong.any() else name


def _panel(
    ax: Axes, places: pd.DataFrame, shown: np.ndarray, pale: np.ndarray, wrong: np.ndarray
) -> None:
    """Draw the samples `shown` in colour, those of `wrong` as crosses, and `pale` ones in grey below."""
    flat: dict[str, Any] = {"rasterized": True, "linewidths": 0}
    rest = places[pale]
    ax.scatter(rest["variability"], rest["confidence"], s=1.5, color="0.88", zorder=2, **flat)
    for which, look in (
        (shown & ~wrong, {"marker": "o", "s": 2.5, "zorder": 3, **flat}),
        (
            shown & wrong,
            {"marker": "x", "s": 4, "linewidths": 0.5, "zorder": 4, "rasterized": True},
        ),
    ):
        part = places[which]
        color: dict[str, Any] = {"c": part["correctness"], "cmap": COLORS, "vmin": 0, "vmax": 1}
        ax.scatter(part["variability"], part["confidence"], **color, **look)
    ax.set_xlim(0, 0.5)
    ax.set_ylim(0, 1)
