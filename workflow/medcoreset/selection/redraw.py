"""What is selected while a network trains: by a dynamic method, or by one that selects again."""

from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medcoreset.evidence import Evidence
from medcoreset.methods.random import random
from medcoreset.methods.registry import RESELECT, Balance, Method, Picks, get
from medcoreset.seeding import generator, stream_seed
from medcoreset.selection.budget import Rounding, sized
from medcoreset.selection.select import select
from medcoreset.sources import digest
from medcoreset.training.draw import Drawn, Progressed

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Redraw:
    """A method that selects while a network trains, its options, and how much of the training set.

    A training has as many steps as on a coreset of the same rate, whatever the method picks. `evidence`
    is what the method looks at that is made before.
    """

    method: Method
    options: dict[str, Any]
    rate: float
    rounding: Rounding = "ceil"
    balance: Balance | None = None
    evidence: Evidence | None = None
    _held: dict[str, "Tensor"] = field(default_factory=dict, repr=False, compare=False)

    @property
    def in_steps(self) -> bool:
        """Whether the samples of a step are chosen among more, by their `priorities`."""
        return self.method.prioritize is not None

    @property
    def identity(self) -> dict[str, Any]:
        """Return all that the draws depend on, the code included."""
        return {
            "method": self.method.name,
            "options": self.options,
            "rate": self.rate,
            "rounding": self.rounding,
            "balance": self._balance,
            "evidence": {
                name: sha256(np.ascontiguousarray(self._given[name]).data).hexdigest()
                for name in self._needed()
            },
            "code": digest(self.method.source, Path(__file__)),
        }

    def size(self, labels: np.ndarray) -> int:
        """Return how many of the samples with `labels` (N,) a coreset of the rate has."""
        return int(np.sum(self._budget(labels)))

    def __call__(self, labels: np.ndarray, seed: int, progressed: Progressed) -> Drawn | None:
        """Return the samples of an epoch, of those with `labels` (N,), and their weights.

        None stands for those of the epoch before.
        """
        if self.in_steps:
            return None if progressed.epoch else (np.arange(len(labels)), None)
        if self.method.prune is not None:
            return self._pruned(self.method.prune, labels, seed, progressed)
        if self.method.dynamic:
            return self._drawn(labels, seed, progressed.epoch)
        return self._selected_again(labels, seed, progressed)

    def priorities(self, losses: "Tensor", samples: "Tensor") -> "Tensor":
        """Return the priorities (n,) of `samples` (n,) by their present `losses` (n,), on their device."""
        for name in self._needed():
            if name not in self._held or self._held[name].device != losses.device:
                self._held[name] = self._given.tensor(name).to(losses.device, losses.dtype)
        about = {name: array[samples] for name, array in self._held.items()}
        assert self.method.prioritize is not None  # it is `in_steps`
        return self.method.prioritize(losses, about, **self.method.picking(self.options))

    @property
    def _given(self) -> Evidence:
        assert self.evidence is not None  # of a method that needs any
        return self.evidence

    def _needed(self) -> tuple[str, ...]:
        return self.method.needed(self.options) if self.in_steps else ()

    def _pruned(
        self, prune: Callable[..., Picks], labels: np.ndarray, seed: int, progressed: Progressed
    ) -> Drawn:
        rng = generator(seed, "redraw", progressed.epoch)
        options = self.method.picking(self.options)
        picks = prune(progressed.losses, progressed.share, rng, **options)
        # Batch normalisation cannot train on one sample.
        return (np.arange(len(labels)), None) if len(picks.indices) < 2 else picks[:2]

    def _drawn(self, labels: np.ndarray, seed: int, epoch: int) -> Drawn:
        how: dict[str, Any] = {
            "seed": seed,
            "options": self.options,
            "epoch": epoch,
            "balance": self._balance,
        }
        found = select(self.method, Evidence({"labels": labels}), self._budget(labels), **how)
        return found.indices, found.weights

    def _selected_again(
        self, labels: np.ndarray, seed: int, progressed: Progressed
    ) -> Drawn | None:
        """Select by the network as it is, every so many epochs; before the first time, at random.

        So do GLISTER (Killamsetty et al. 2021a), GradMatch (2021b) and CRAIG in
        the code of cords, without the warm start that is an option there. The random coreset is that of
        the seed's row `random`. Each time ties and draws are others. Weights are made of mean 1.
        """
        epoch, size = progressed.epoch, self._budget(labels)
        if epoch % self.options[RESELECT.name]:
            return None
        if epoch == 0:
            evidence = Evidence({"labels": labels})
            found = select(get(random.__name__), evidence, size, seed=seed, balance=self._balance)
            return found.indices, None
        evidence = Evidence(
            progressed.outputs(), name=f"the network of epoch {epoch}", device=progressed.device
        )
        found = select(
            self.method,
            evidence,
            size,
            balance=self._balance,
            seed=stream_seed(seed, "redraw", epoch),
            options=self.options | {RESELECT.name: None},
        )
        weights = found.weights
        return found.indices, None if weights is None else weights / weights.mean()

    @property
    def _balance(self) -> Balance:
        return self.balance or self.method.balance

    def _budget(self, labels: np.ndarray) -> int | np.ndarray:
        return sized(self.rate, labels, self.rounding, self._balance)
