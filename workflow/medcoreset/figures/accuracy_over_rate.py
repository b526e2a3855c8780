"""Accuracy over the selection rate, per dataset, protocol and network (DeepCore's Figure 1)."""

import pandas as pd
from matplotlib.figure import Figure

from medcoreset.figures import panels
from medcoreset.plan import FULL, Plan

NEEDS = ("table",)
OF_MEANS = True


def draw(plan: Plan, table: pd.DataFrame) -> Figure:
    """Draw every method's mean accuracy in % with its single seeds, Random and the full set."""
    methods = [method for method in plan.methods if method != FULL]
    return panels.tiles(plan, table, methods)
