"""One epoch of training dynamics, collected on the device where the logits are."""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from medcoreset.recording.processes import Processes
from medcoreset.recording.statistics import STATISTICS, statistics

BLOCK_BYTES = 64 * 2**20
"""Logits kept on the device before their statistics are computed; bounds memory, not results."""

TOLERANCE = 0.02
"""Within which a row of probabilities adds up to 1."""


class Noted(NamedTuple):
    """What records of N samples were like, by which mistakes are known.

    The lowest and highest index; the first sample of logits that are not finite, and the first that a batch had
    twice, N for none; and whether all rows of logits look like probabilities.
    """

    low: int
    high: int
    odd: int
    again: int
    alike: bool


class Epoch:
    """Collects the logits of samples with `labels` (N,) or (N, C), on the labels' device, which it never waits for."""

    def __init__(self, labels: Tensor, classes: int, *, probs: bool) -> None:
        self.labels, self.classes = labels, classes
        self.recorded = self.waiting = 0
        self.pending: list[tuple[Tensor, Tensor]] = []
        kinds: dict[str, Any] = dict(STATISTICS)
        if probs:
            kinds["probs"] = np.float16
        n = len(labels)
        with torch.inference_mode(False):
            # The last place is for what counts for no sample.
            self.arrays = {
                name: torch.zeros(
                    (n + 1, classes) if name == "probs" else n + 1,
                    dtype=_torch_type(kind),
                    device=labels.device,
                )
                for name, kind in kinds.items()
            }
            # `Noted` of all processes and records is the least of each, but of the highest index, which is
            # here times −1.
            self.noted = torch.tensor([n, 1, n, n, 1]).to(labels.device)

    @property
    def device(self) -> torch.device:
        """Where it is collected."""
        return self.labels.device

    def to(self, device: torch.device) -> None:
        """Go on on another device."""
        self.labels, self.noted = self.labels.to(device), self.noted.to(device)
        self.arrays = {name: tensor.to(device) for name, tensor in self.arrays.items()}
        self.pending = [(one.to(device), other.to(device)) for one, other in self.pending]

    def record(self, indices: Tensor, logits: Tensor) -> None:
        """Take a copy of the logits (B, C) of samples `indices` (B,), and compute nothing yet."""
        # From the memory of a GPU to another place nothing may be read before it has arrived.
        later = self.device.type == "cuda"
        with torch.inference_mode(False):
            own = indices.to(self.device, torch.int64, non_blocking=later, copy=True)
            self.pending.append((own, logits.to(self.device, non_blocking=later, copy=True)))
        self.waiting += len(indices)
        if self.waiting >= max(1, BLOCK_BYTES // (4 * self.classes)):
            self.compute()

    @torch.no_grad()
    def compute(self) -> None:
        """Turn the pending logits into statistics, in one go; of a sample's records the last counts."""
        if not self.pending:
            return
        n = len(self.labels)
        with torch.inference_mode(False):
            indices = torch.cat([indices for indices, _ in self.pending])
            logits = torch.cat([logits for _, logits in self.pending]).float()
            outside = (indices < 0) | (indices >= n)
            sample = indices.masked_fill(outside, 0)
            last, again = self._repeats(indices)
            self._note(indices, sample, logits, again)
            place = sample.masked_fill(outside | ~last, n)
            found = statistics(logits, self.labels[sample])
            found["seen"] = torch.ones_like(outside)
            for name, tensor in self.arrays.items():
                tensor[place] = found[name].to(tensor.dtype)
        self.recorded += len(indices)
        self.pending, self.waiting = [], 0

    def gathered(self, processes: Processes) -> tuple[dict[str, Tensor], int, Noted]:
        """Return the arrays (N, …), the number of records, and what was noted, of all processes.

        Of a sample that several processes recorded, the last one's record counts.
        """
        self.compute()
        found = self.arrays
        recorded = torch.tensor(self.recorded, device=self.device)
        if processes.size > 1:
            mine = found["seen"].int() * (processes.rank + 1)
            other = processes.most(mine) != processes.rank + 1
            found = {name: _summed(processes, array, other) for name, array in found.items()}
        low, less, odd, again, alike = processes.least(self.noted).tolist()
        noted = Noted(low, -less, odd, again, bool(alike))
        own = {name: array[: len(self.labels)] for name, array in found.items()}
        return own, int(processes.sum(recorded)), noted

    def state(self) -> dict[str, Any]:
        """Return all that it holds but the labels; what is recorded later may change it."""
        return {
            "arrays": self.arrays,
            "noted": self.noted,
            "pending": list(self.pending),
            "recorded": self.recorded,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a `state` on the same device."""
        self.arrays, self.noted = state["arrays"], state["noted"]
        self.pending, self.recorded = list(state["pending"]), state["recorded"]
        self.waiting = sum(len(indices) for indices, _ in self.pending)

    def _repeats(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Return of the pending records (B,) which are the last of their sample, and which its batch has again."""
        lengths = [len(indices) for indices, _ in self.pending]
        numbers = np.repeat(np.arange(len(lengths)), lengths)
        batches = torch.from_numpy(numbers).to(self.device, non_blocking=True)
        # Stable, so that the records of a sample keep their order, and those of a batch stand together.
        ordered, order = torch.sort(indices, stable=True)
        same = ordered[1:] == ordered[:-1]
        last = torch.ones_like(ordered, dtype=torch.bool)
        last[order[:-1]] = ~same
        again = torch.zeros_like(last)
        again[order[:-1]] = same & (batches[order[1:]] == batches[order[:-1]])
        return last, again

    def _note(self, indices: Tensor, sample: Tensor, logits: Tensor, again: Tensor) -> None:
        n = len(self.labels)
        finite = torch.isfinite(logits).all(1)
        # Of several labels, probabilities add up to anything.
        single = self.labels.ndim == 1
        distribution = ((logits.sum(1) - 1).abs() <= TOLERANCE) & (logits >= -TOLERANCE).all(1)
        found = [
            indices.min(),
            -indices.max(),
            sample.masked_fill(finite, n).min(),
            sample.masked_fill(~again, n).min(),
            (distribution.all() & single).long(),
        ]
        self.noted = torch.minimum(self.noted, torch.stack(found))


def _summed(processes: Processes, array: Tensor, other: Tensor) -> Tensor:
    """Return an array (N + 1, …) of all processes, each giving what is not another's."""
    number = array.int() if array.dtype == torch.bool else array
    own = number.masked_fill(other.view(-1, *[1] * (array.ndim - 1)), 0)
    return processes.sum(own).to(array.dtype)


def _torch_type(kind: type[np.generic]) -> torch.dtype:
    return torch.from_numpy(np.zeros(1, kind)).dtype
