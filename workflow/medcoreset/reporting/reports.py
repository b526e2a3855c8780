"""What the reporting rules take from the evaluated epochs of a training."""

from typing import Any

import numpy as np

from medcoreset import seeding
from medcoreset.reporting.metrics import evaluate
from medcoreset.reporting.rules import RULES, Rule


class Reports:
    """What each reporting rule reports of one seed, updated at every evaluated epoch."""

    def __init__(self, seed: int, rules: tuple[str, ...], labels: dict[str, np.ndarray]) -> None:
        self.seed = seed
        self.rules = {name: RULES[name] for name in rules}
        self.labels = labels
        self.best: dict[str, float] = {}
        self.found: dict[str, dict[str, Any]] = {}

    def update(self, epoch: int, logits: dict[str, np.ndarray], *, last: bool) -> dict[str, float]:
        """Take the logits of the evaluated splits (n, C) of a 1-based epoch; return the accuracies."""
        whole = {split: evaluate(logits[split], self.labels[split]) for split in logits}
        for name, rule in self.rules.items():
            metrics = whole
            if rule.drop_incomplete:
                kept = self._whole_batches(epoch, len(logits[rule.split]), rule.drop_incomplete)
                cut = evaluate(logits[rule.split][kept], self.labels[rule.split][kept])
                metrics = whole | {rule.split: cut}
            if last if rule.checkpoint == "last" else self._improves(name, rule, metrics):
                self.found[name] = {"epoch": epoch, "reports": rule.split, **metrics}
        return {f"{split}_accuracy": whole[split]["accuracy"] for split in whole}

    def _improves(self, name: str, rule: Rule, metrics: dict[str, dict[str, Any]]) -> bool:
        """Say whether a rule's epoch is the best so far, the first one in any case; remember it."""
        value = metrics[rule.select_split][rule.select_metric]
        value = -np.inf if value is None or np.isnan(value) else float(value)
        better = name not in self.best or value > self.best[name]
        if better:
            self.best[name] = value
        return better

    def _whole_batches(self, epoch: int, samples: int, batch: int) -> np.ndarray:
        """Return the samples left when a shuffled split loses its last incomplete batch."""
        order = seeding.generator(self.seed, "evaluation", epoch).permutation(samples)
        return np.sort(order[: samples // batch * batch]) if samples >= batch else order

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint needs to go on."""
        return {"best": self.best, "found": self.found}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint's `state`."""
        self.best, self.found = state["best"], state["found"]
