"""What a dynamic method selects in each epoch of a training."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medcoreset.evidence import Evidence
from medcoreset.methods.registry import Balance, Method
from medcoreset.seeding import generator
from medcoreset.selection.budget import Rounding, sized
from medcoreset.selection.select import select
from medcoreset.sources import digest
from medcoreset.training.draw import Drawn, Progressed


@dataclass(frozen=True)
class Redraw:
    """A dynamic method with its options, and how much of the training set an epoch has.

    A training has as many steps as on a coreset of the same rate, whatever the method picks.
    """

    method: Method
    options: dict[str, Any]
    rate: float
    rounding: Rounding = "ceil"
    balance: Balance | None = None

    @property
    def identity(self) -> dict[str, Any]:
        """Return all that the draws depend on, the code included."""
        return {
            "method": self.method.name,
            "options": self.options,
            "rate": self.rate,
            "rounding": self.rounding,
            "balance": self._balance,
            "code": digest(self.method.source, Path(__file__)),
        }

    def size(self, labels: np.ndarray) -> int:
        """Return how many of the samples with `labels` (N,) a coreset of the rate has."""
        return int(np.sum(self._budget(labels)))

    def __call__(self, labels: np.ndarray, seed: int, progressed: Progressed) -> Drawn:
        """Return the samples of an epoch, of those with `labels` (N,), and their weights."""
        epoch, share, losses = progressed
        if self.method.prune is not None:
            rng = generator(seed, "redraw", epoch)
            picks = self.method.prune(losses, share, rng, **self.method.picking(self.options))
            # Batch normalisation cannot train on one sample.
            return (np.arange(len(labels)), None) if len(picks.indices) < 2 else picks[:2]
        evidence, size = Evidence({"labels": labels}), self._budget(labels)
        how = {"seed": seed, "options": self.options, "epoch": epoch}
        found = select(self.method, evidence, size, balance=self._balance, **how)
        return found.indices, found.weights

    @property
    def _balance(self) -> Balance:
        return self.balance or self.method.balance

    def _budget(self, labels: np.ndarray) -> int | np.ndarray:
        return sized(self.rate, labels, self.rounding, self._balance)
