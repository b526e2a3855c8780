"""EVA's Figure 3: expectation against variance of the error norm, in single and dual windows."""

import pandas as pd
from matplotlib.figure import Figure

from medcoreset.figures import ablation
from medcoreset.plan import Plan

NEEDS = ("table",)
ROWS = ("exp_single", "var_single", "exp_dual", "var_dual")


def draw(plan: Plan, table: pd.DataFrame) -> Figure:
    """Draw a row per dataset: (a)(c) one early window, (b)(d) two windows."""
    columns = [
        ("single window", ["exp_single", "var_single"]),
        ("dual window", ["exp_dual", "var_dual"]),
    ]
    return ablation.draw(plan, table, "eva_figure3", columns)
