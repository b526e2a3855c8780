"""How well rankings find wrong labels: of training sets whose labels were made wrong on purpose."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

import medcoreset.methods as methods
from medcoreset.datasets import canonical
from medcoreset.methods import variants
from medcoreset.plan import Plan, Scores
from medcoreset.provenance import check_recipe
from medcoreset.reading import read_npz
from medcoreset.reporting.metrics import auroc, average_precision

COLUMNS = [
    *("dataset", "protocol", "surrogate", "method", "variant"),
    *("wrong", "auroc", "auroc_std", "average_precision", "average_precision_std", "n"),
]


@dataclass(frozen=True)
class Ranking:
    """A ranking of a training set as a detector: `suspicion` (N,) is higher for what is kept first.

    `wrong` (N,) says which labels are. A sample without a score is the least suspicious.
    """

    entry: Scores
    suspicion: np.ndarray
    wrong: np.ndarray


def rankings(plan: Plan) -> Iterator[Ranking]:
    """Yield the plan's rankings, once each, of the datasets that have wrong labels.

    A method ranks if one end of its scores is kept first; what only draws by its scores does not.
    Raises UserError for a file that is not what the plan says.
    """
    wrong: dict[str, np.ndarray | None] = {}
    seen: set[tuple[str, str, str]] = set()
    for entry in plan.rankings:
        key = (entry.path, entry.method, entry.variant)
        name, options = variants.parse(entry.variant)
        if key in seen or methods.get(name).keep is None:
            continue
        seen.add(key)
        if entry.dataset not in wrong:
            about = plan.datasets[entry.dataset]
            dataset = canonical.load(about.path)
            check_recipe(about.path, dataset.info["recipe"], about.recipe)
            wrong[entry.dataset] = dataset.corrupted
        mask = wrong[entry.dataset]
        if mask is None or not mask.any():
            continue
        file = read_npz(entry.path, "a file of scores", "scores", "recipe")
        check_recipe(entry.path, str(file["recipe"]), entry.recipe)
        scores = file["scores"] if options["keep"] == "highest" else -file["scores"]
        yield Ranking(entry, np.where(np.isnan(scores), -np.inf, scores), mask)


def detection(plan: Plan) -> pd.DataFrame:
    """Return how well each ranking finds wrong labels, in percent, mean and deviation over surrogates.

    `auroc` and `average_precision` are of the order in which the method keeps samples: over 50 % and
    over the share `wrong` of wrong labels, it keeps wrong labels before right ones.
    """
    single = pd.DataFrame(
        [
            {
                "dataset": each.entry.dataset,
                "protocol": each.entry.protocol,
                "surrogate": each.entry.model,
                "method": each.entry.method,
                "variant": each.entry.variant,
                "wrong": 100 * each.wrong.mean(),
                "auroc": _percent(auroc(each.suspicion, each.wrong)),
                "average_precision": _percent(average_precision(each.suspicion, each.wrong)),
            }
            for each in rankings(plan)
        ],
        columns=[*COLUMNS[:7], "average_precision"],
    )
    groups = single.groupby(COLUMNS[:6], sort=False)
    found = groups.agg(
        auroc=("auroc", "mean"),
        auroc_std=("auroc", "std"),
        average_precision=("average_precision", "mean"),
        average_precision_std=("average_precision", "std"),
        n=("auroc", "size"),
    ).reset_index()
    return found[COLUMNS].round(6)


def _percent(share: float | None) -> float:
    return math.nan if share is None else 100 * share
