"""What a training trains on where that is chosen while it trains; imports no torch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor


class Progressed(NamedTuple):
    """How far a training is at the start of an epoch: what its samples may be drawn by.

    `epoch` is 0-based, `share` that of the steps that are done, `losses` (N,) are those that the
    training samples had when they were last trained on, without weights, 0 before. `outputs` computes
    what the network as it is makes of the training and validation samples, by the names of evidence;
    `device` is that of the training, `cpu` or `cuda`.
    """

    epoch: int
    share: float
    losses: np.ndarray
    outputs: Callable[[], Mapping[str, np.ndarray]] = dict
    device: str = "cpu"


Drawn = tuple[np.ndarray, np.ndarray | None]
"""The samples of an epoch, int64 (n,), and the factors of their losses (n,), if any."""


class Draw(Protocol):
    """Draws samples while a network trains."""

    @property
    def identity(self) -> dict[str, Any]:
        """Return all that the draws depend on, as JSON can hold it."""

    @property
    def in_steps(self) -> bool:
        """Whether an epoch shows the samples that are drawn, and each step trains on a share of those shown."""

    def size(self, labels: np.ndarray) -> int:
        """Return how many of the samples with `labels` (N,) a training counts as an epoch.

        So many steps has a training in all as on a coreset of that size, whatever is drawn.
        """

    def __call__(self, labels: np.ndarray, seed: int, progressed: Progressed) -> Drawn | None:
        """Return what an epoch trains on, of the samples with `labels` (N,), or None: as the one before."""

    def priorities(self, losses: "Tensor", samples: "Tensor") -> "Tensor":
        """Return the priorities (n,) of the `samples` (n,) of a step, given their `losses` (n,)."""


@dataclass(frozen=True)
class Redrawn:
    """What one seed draws of the training set, whose labels are `labels` (N,)."""

    draw: Draw
    labels: np.ndarray
    seed: int

    @property
    def size(self) -> int:
        """The samples that the training counts as an epoch."""
        return self.draw.size(self.labels)

    def __call__(self, progressed: Progressed) -> Drawn | None:
        """Return what an epoch trains on, or None where it is that of the epoch before."""
        return self.draw(self.labels, self.seed, progressed)
