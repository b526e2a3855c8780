"""What a dynamic method selects in each epoch of a training."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medcoreset.evidence import Evidence
from medcoreset.methods.registry import Balance, Method
from medcoreset.selection.budget import Rounding, sized
from medcoreset.selection.select import select
from medcoreset.sources import digest


@dataclass(frozen=True)
class Redraw:
    """A dynamic method with its options, and how much of the training set an epoch has.

    An epoch has as many samples as a coreset of the same rate, so that a training has as many steps.
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
            "balance": self.balance or self.method.balance,
            "code": digest(self.method.source, Path(__file__)),
        }

    def __call__(self, labels: np.ndarray, seed: int, epoch: int) -> np.ndarray:
        """Return the samples, int64 (M,), of a 0-based epoch, of those with `labels` (N,)."""
        balance = self.balance or self.method.balance
        size = sized(self.rate, labels, self.rounding, balance)
        evidence = Evidence({"labels": labels})
        how = {"balance": balance, "seed": seed, "options": self.options, "epoch": epoch}
        return select(self.method, evidence, size, **how).indices
