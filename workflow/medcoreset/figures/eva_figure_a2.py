"""EVA's Figure A2: variance in two windows against variance over the entire training."""

import pandas as pd
from matplotlib.figure import Figure

from medcoreset.figures import panels
from medcoreset.plan import Plan

NEEDS = ("table",)
ROWS = ("var_dual", "var_entire")

COMPARED = ("var_dual", "var_entire")


def draw(plan: Plan, table: pd.DataFrame) -> Figure:
    """Draw a panel per dataset, protocol and network."""
    panels.require(plan, "eva_figure_a2", COMPARED)
    return panels.tiles(plan, table, COMPARED)
