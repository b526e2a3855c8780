"""Figures of an experiment, one module each, in which `draw` returns the figure.

`FIGURES` says which parts of the plan a figure is drawn from, so that the workflow asks for no more.
`draw` takes the plan and, where it needs it, the table with every cell's single runs, or the numbers
that its module's `numbers` makes of the plan and that lie beside it as .csv. Nothing here imports
matplotlib.
"""

FIGURES: dict[str, frozenset[str]] = {
    "accuracy_over_rate": frozenset({"table"}),
    "accuracy_cross_architecture": frozenset({"table"}),
    "paired_difference": frozenset({"table"}),
    "critical_difference": frozenset({"table"}),
    "score_evolution": frozenset({"sources"}),
    "score_distribution": frozenset({"scores"}),
    "gallery": frozenset({"sources", "scores"}),
    "window_overlap": frozenset({"windows", "scores"}),
    "eva_figure3": frozenset({"table"}),
    "eva_figure4": frozenset({"table"}),
    "eva_figure5": frozenset({"table"}),
    "eva_figure6": frozenset({"sources", "numbers"}),
    "eva_figure_a2": frozenset({"table"}),
    "cost": frozenset({"runs", "numbers"}),
    "accuracy_over_cost": frozenset({"table", "runs", "numbers"}),
    "accuracy_over_condition": frozenset({"table"}),
    "detection": frozenset({"rankings", "numbers"}),
    "data_map": frozenset({"sources", "runs"}),
}
"""Figure → what it is drawn from: the `table`, `numbers` of its own, or the plan's `sources`, `scores`,
`rankings` (the scores of all surrogates, not of the first alone), `windows` and `runs`."""

OF_CLASSES = frozenset({"gallery", "eva_figure6"})
"""Figures that show images by class, which those with several labels have none of."""

ROWS: dict[str, tuple[str, ...]] = {
    "eva_figure3": ("exp_single", "var_single", "exp_dual", "var_dual"),
    "eva_figure4": ("var_single", "var_dual", "exp_single", "exp_dual"),
    "eva_figure5": (r"window_\d+(_\d+)?",),
    "eva_figure_a2": ("var_dual", "var_entire"),
}
"""Figure → the rows that it compares, as patterns of their keys: one of each at least."""
