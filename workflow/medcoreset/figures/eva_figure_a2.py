"""EVA's Figure A2: variance in two windows against variance over the entire training."""

import pandas as pd
from matplotlib.figure import Figure

from medcoreset.analysis.experiment import Experiment
from medcoreset.figures import panels

COMPARED = ("var_dual", "var_entire")


def draw(experiment: Experiment, table: pd.DataFrame) -> Figure:
    """Draw a panel per dataset, protocol and network."""
    panels.require(experiment, "eva_figure_a2", COMPARED)
    return panels.tiles(experiment, table, COMPARED)
