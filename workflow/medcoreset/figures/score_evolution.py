"""EVA's Figure 1: the error-vector score of single samples over the epochs of the surrogate."""

from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from medcoreset.evidence.evidence import Evidence
from medcoreset.figures import parts, style
from medcoreset.plan import Plan

NEEDS = ("sources",)

SAMPLES = 10
SNAPSHOT = 10
"""Epochs that the snapshot methods look at (EL2N), the dashed box."""


def draw(plan: Plan) -> Figure:
    """Draw a panel per dataset, protocol and surrogate, ten samples each.

    The samples are those at the deciles' middles (5 %, 15 %, …, 95 %) of the variance of their
    score over all epochs, so that they span steady and fluctuating ones; colour is that quantile.
    """
    sources = plan.sources
    columns = min(len(sources), 2)
    figure, axes = style.grid(-(-len(sources) // columns), columns, height=2.0)
    quantiles = (np.arange(SAMPLES) + 0.5) / SAMPLES
    colors = colormaps["viridis"].resampled(SAMPLES)
    for ax, source in zip(axes.flat, sources, strict=False):
        evidence = parts.read_evidence(source)
        samples = spanning_samples(evidence, quantiles)
        epochs = np.arange(1, evidence.epochs + 1)
        curves = scores_of(evidence, samples)
        for place, scores in enumerate(curves):
            ax.plot(epochs, scores, color=colors(place), linewidth=0.7)
        _box(ax, evidence.epochs, float(np.nanmax(curves)))
        ax.set_title("\n".join(parts.heading(plan, source, sources)))
    for ax in axes.flat[len(sources) :]:
        ax.set_visible(False)
    for ax in axes[:, 0]:
        ax.set_ylabel("error-vector score ‖p − y‖₂")
    for ax in axes[-1]:
        ax.set_xlabel("epoch")
    style.letter(axes)
    scale = ScalarMappable(BoundaryNorm(np.linspace(0, 1, SAMPLES + 1), SAMPLES), colors)
    bar = figure.colorbar(scale, ax=axes, ticks=[0, 0.5, 1], aspect=30, pad=0.02)
    bar.ax.set_yticklabels(["lowest", "median", "highest"])
    bar.set_label("variance over all epochs")
    bar.outline.set_visible(False)
    return figure


def spanning_samples(evidence: Evidence, quantiles: np.ndarray) -> np.ndarray:
    """Return the samples at `quantiles` of the variance of their score over the epochs.

    Samples that were seen once at most do not count; equal variances are in the samples' order.
    """
    variance = evidence.over_epochs("error_norm", _variance)
    order = np.argsort(variance, kind="stable")[: np.isfinite(variance).sum()]  # NaN sorts last
    return order[np.minimum((quantiles * len(order)).astype(int), len(order) - 1)]


def _variance(scores: np.ndarray) -> np.ndarray:
    """Return the variance of (T, B) scores over the epochs, NaN of fewer than two."""
    variance = np.full(scores.shape[1], np.nan)
    known = (~np.isnan(scores)).sum(axis=0) > 1
    variance[known] = np.nanvar(scores[:, known], axis=0, dtype=np.float64)
    return variance


def scores_of(evidence: Evidence, samples: np.ndarray) -> np.ndarray:
    """Return the (n, T) error-vector scores of n samples, NaN in epochs that did not see them."""
    chosen = evidence.take(samples)
    epochs = [
        chosen.over_epochs("error_norm", lambda scores: scores[0], epoch, epoch + 1)
        for epoch in range(evidence.epochs)
    ]
    return np.stack(epochs, axis=1)


def _box(ax: Axes, epochs: int, highest: float) -> None:
    """Draw the dashed box around the epochs that a snapshot of the first ten sees."""
    margin = 0.04 * highest
    corner, width = (0.5, -margin), min(SNAPSHOT, epochs)
    look: dict[str, Any] = {"fill": False, "linestyle": "--", "linewidth": 0.9, "zorder": 5}
    ax.add_patch(Rectangle(corner, width, highest + 2 * margin, **look))
    ax.set_ylim(-2 * margin, highest + 2 * margin)
    ax.set_xlim(0, epochs + 0.5)
