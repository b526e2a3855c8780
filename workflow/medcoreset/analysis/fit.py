"""Whether the metrics of a run are of what the plan asks for, and of the data that lie beside them."""

from functools import cache
from pathlib import Path
from typing import Any

from medcoreset.datasets import canonical
from medcoreset.errors import UserError
from medcoreset.plan import Plan, Reported
from medcoreset.provenance import AGAIN, check_recipe
from medcoreset.selection.coreset import read_coreset


class Fit:
    """The check of a plan's runs. Datasets and coresets are looked at where they are there.

    An archive may hold metrics alone; what it does hold must be what the metrics are of.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._dataset = cache(self._read_dataset)

    def __call__(self, run: Reported, metrics: dict[str, Any]) -> None:
        """Raise UserError if the content of `metrics.json` is not of `run`."""
        check_recipe(run.metrics, metrics["recipe"], run.recipe)
        if metrics["seeds"].keys() != set(map(str, run.trained)):
            raise UserError(
                f"{run.metrics} is of the seeds {', '.join(metrics['seeds'])}, the plan has "
                f"{', '.join(map(str, run.trained))}: {AGAIN}"
            )
        known = self._dataset(run.dataset)
        if known not in ("", metrics["run"]["dataset_sha256"]):
            raise UserError(f"{run.metrics} is of other data than {run.dataset} now is: {AGAIN}")
        for seed, selected in run.trained.items() if run.coresets else ():
            path = Path(run.coresets, f"seed{selected}.npz")
            if path.exists() and read_coreset(path).sha256 != metrics["coreset_sha256"][str(seed)]:
                raise UserError(f"{run.metrics} is of another coreset than {path} now is: {AGAIN}")

    def _read_dataset(self, name: str) -> str:
        """Return the SHA-256 of a dataset, "" if it is not there."""
        dataset = self.plan.datasets[name]
        if not Path(dataset.path).exists():
            return ""
        info = canonical.load_info(dataset.path)
        check_recipe(dataset.path, info["recipe"], dataset.recipe)
        return info["sha256"]
