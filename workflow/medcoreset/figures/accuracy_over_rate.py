"""Accuracy over the selection rate, per dataset, protocol and network (DeepCore's Figure 1)."""

import pandas as pd
from matplotlib.figure import Figure

from medcoreset.analysis.experiment import Experiment
from medcoreset.figures import panels


def draw(experiment: Experiment, table: pd.DataFrame) -> Figure:
    """Draw every method's mean accuracy in % with its single seeds, Random and the full set."""
    methods = [method for method in experiment.methods if method != "full"]
    return panels.tiles(experiment, table, methods)
