"""EVA's Figure 4: one window against two, by variance and by expectation of the error norm."""

import pandas as pd
from matplotlib.figure import Figure

from medcoreset.figures import ablation
from medcoreset.plan import Plan

NEEDS = ("table",)
ROWS = ("var_single", "var_dual", "exp_single", "exp_dual")


def draw(plan: Plan, table: pd.DataFrame) -> Figure:
    """Draw a row per dataset: (a)(c) variance, (b)(d) expectation."""
    columns = [
        ("variance", ["var_single", "var_dual"]),
        ("expectation", ["exp_single", "exp_dual"]),
    ]
    return ablation.draw(plan, table, "eva_figure4", columns)
