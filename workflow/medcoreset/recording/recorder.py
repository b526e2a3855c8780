"""Training dynamics: what every sample's prediction was at every epoch, recorded by any training loop."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from medcoreset.errors import UserError, say
from medcoreset.recording.files import Recording
from medcoreset.recording.processes import Processes
from medcoreset.recording.statistics import STATISTICS, statistics

BLOCK_BYTES = 64 * 2**20
"""Logits kept on the device before their statistics are computed; bounds memory, not results."""

TOLERANCE = 0.02
"""Within which a row of probabilities adds up to 1."""

Array = Tensor | np.ndarray | Sequence[int]


class Recorder:
    """Records the training dynamics of any training loop into a folder that methods select from.

    `record` every batch, `end_epoch` every epoch. The folder is evidence at any time: `labels.npy` (N,), one
    `.npy` (T, N) per statistic (`error_norm` ‖p − y‖₂, `margin`, `logit_margin`, `target_prob`, `entropy`,
    `correct`, `seen`; `recording/statistics.py` has their formulas), and `probs.npy` (T, N, C) float16 if
    that is at most `probs_budget_mb` MB. Entries of samples that an epoch did not visit are zero, and
    `seen` is false there: methods leave them out.

    `labels` are the classes of all training samples, integers (N,) from 0 to `classes` − 1, and `indices`
    are places in them. Several labels per sample are rows (N, `classes`) of 0 and 1. `epochs` is T; None lets the files grow (and drops `probs.npy` when it becomes too
    large). A batch may not have a sample twice, unless the sampler draws with `replacement`; of several
    records of a sample in an epoch the last counts, and one line says so.

    Of several processes of `torch.distributed` each makes a recorder and records its own batches; at the
    end of an epoch they are put `together` (of a sample in several processes, the last process's counts) and
    the first process writes. A recorder that is not `together` has all batches itself.

    Nothing waits for a GPU before the end of an epoch. So what needs the numbers themselves is checked
    there: then a UserError names the mistake, and nothing of the epoch is written. UserError is also raised
    for labels outside the classes, a folder that holds other dynamics, or a full disk.
    """

    def __init__(
        self,
        folder: str | Path,
        labels: Array,
        classes: int,
        epochs: int | None = None,
        *,
        probs_budget_mb: float = 256,
        replacement: bool = False,
        together: bool = True,
    ) -> None:
        self._prepare(labels, classes, replacement=replacement, together=together)
        if epochs is not None and (not _is_integer(epochs) or epochs < 1):
            raise UserError(f"epochs is {epochs!r}, but it is to be an integer from 1, or None")
        if not probs_budget_mb >= 0:
            raise UserError(f"probs_budget_mb is {probs_budget_mb!r}, but it is to be 0 or more")
        length = None if epochs is None else int(epochs)
        self._files = Recording(Path(folder), self._samples, self.classes, length, probs_budget_mb)
        self._processes.after_first(lambda: self._files.create(self._labels.cpu().numpy()))

    @classmethod
    def resume(
        cls,
        folder: str | Path,
        labels: Array,
        classes: int,
        *,
        epoch: int | None = None,
        replacement: bool = False,
        together: bool = True,
    ) -> "Recorder":
        """Return a recorder that goes on in the folder of one that was stopped.

        `epoch` is how many epochs of it to keep, those that the training's own checkpoint has done; by
        default all that are whole. Raises UserError for a folder without training dynamics, for other
        labels or classes than it was recorded with, or for more epochs than it has.
        """
        recorder = cls.__new__(cls)
        recorder._prepare(labels, classes, replacement=replacement, together=together)
        own = recorder._labels.cpu().numpy()

        def opened() -> tuple[Recording, int]:
            files = Recording.open(Path(folder), own, recorder.classes)
            done = files.done
            kept = done if epoch is None else epoch
            if not _is_integer(kept) or not 0 <= kept <= done:
                raise UserError(
                    f"epoch is {epoch!r}, but {folder} has {done} recorded epochs: 0 to {done} can be kept"
                )
            files.cut(kept)
            return files, int(kept)

        recorder._files, recorder.epoch = recorder._processes.after_first(opened)
        return recorder

    def _prepare(self, labels: Array, classes: int, *, replacement: bool, together: bool) -> None:
        self.classes = _classes(classes)
        self._labels = _labels(labels, self.classes)
        self._samples = len(self._labels)
        self.replacement = replacement
        self._processes = Processes(together=together)
        self.epoch = 0
        """How many epochs are recorded."""
        self.repeated = 0
        """Records that a later one of the same sample and epoch took the place of, in all epochs."""
        self._current: dict[str, Tensor] = {}
        self._pending: list[tuple[Tensor, Tensor]] = []
        self._least: Tensor | None = None
        self._clear()

    def record(self, indices: Array, logits: Tensor | np.ndarray) -> None:
        """Take the logits (B, C) of the samples `indices` (B,), of one batch of the current epoch.

        Both are tensors on any device or numpy arrays, the logits of any real type. They are copied, and
        nothing is computed yet. Raises UserError for other shapes and types.
        """
        indices, logits = _tensor("indices", indices), _tensor("logits", logits).detach()
        if indices.ndim != 1 or not _is_integral(indices):
            raise UserError(
                f"indices is {_described(indices)}, but it is to be integers (B,), the batch's samples"
            )
        if logits.shape != (len(indices), self.classes) or not logits.is_floating_point():
            raise UserError(
                f"logits is {_described(logits)}, but it is to be real ({len(indices)}, {self.classes}), "
                "a row for each of the indices and a column for each class"
            )
        if not len(indices):
            return
        if not self._current:
            self._start(logits.device)
        elif self._least.device.type == "cpu" != logits.device.type:
            self._move(logits.device)  # a state was loaded from a file
        # From the memory of a GPU to another place nothing may be read before it has arrived.
        device = self._least.device
        how = {"device": device, "copy": True, "non_blocking": device.type == "cuda"}
        with torch.inference_mode(False):
            self._pending.append((indices.to(dtype=torch.int64, **how), logits.to(**how)))
        self._waiting += len(indices)
        if self._waiting >= max(1, BLOCK_BYTES // (4 * self.classes)):
            self._compute()

    def end_epoch(self) -> None:
        """Write what was recorded since the last call, as the next epoch.

        Raises UserError, and writes nothing, if nothing was recorded, if indices are none of 0 … N−1 or
        repeated within a batch, if logits are not finite or all of them look like probabilities,
        or for more epochs than there were to be. Then the recorder is as it was before the epoch.
        """
        try:
            if not self._current:
                self._start(self._labels.device)
            self._compute()
            found, recorded, least = self._gathered()
            self._check(recorded, least)
            self._files = self._processes.after_first(
                lambda: self._files.write(
                    self.epoch,
                    {name: row[: self._samples].cpu().numpy() for name, row in found.items()},
                )
            )
        finally:
            self._clear()
        self._tell(recorded - int(found["seen"][: self._samples].sum()))
        self.epoch += 1

    def state(self) -> dict[str, Any]:
        """Return what is recorded of the current epoch, for a checkpoint in the midst of it.

        Epochs that the checkpoint will count as done reach the disk first. Of several processes that record
        together, the state is without the current epoch: what they recorded of it will count as not seen.
        """
        if self._processes.first:
            self._files.flush()
        if self._processes.size > 1:
            return {"epoch": self.epoch, "current": {}}
        return {
            "epoch": self.epoch,
            "current": self._current,
            "pending": list(self._pending),
            "least": self._least,
            "recorded": self._recorded,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go on in the midst of an epoch, from a checkpoint's `state`; later epochs are forgotten."""
        self.epoch = state["epoch"]
        self._processes.after_first(lambda: self._files.cut(self.epoch))
        self._clear()
        if state["current"]:
            self._start(state["least"].device)
            self._current, self._pending = state["current"], list(state["pending"])
            self._least, self._recorded = state["least"], state["recorded"]
            self._waiting = sum(len(indices) for indices, _ in self._pending)

    def _start(self, device: torch.device) -> None:
        """Make room for an epoch, on the labels' device, or if that is the CPU on the logits'."""
        if self._labels.device.type != "cpu":
            device = self._labels.device
        size = self._samples + 1  # the last place is for what counts for no sample
        kinds: dict[str, Any] = dict(STATISTICS)
        if self._files.keeps_probs(self.epoch):
            kinds["probs"] = np.float16
        with torch.inference_mode(False):
            self._labels = self._labels.to(device)
            for name, kind in kinds.items():
                shape = (size, self.classes) if name == "probs" else (size,)
                self._current[name] = torch.zeros(shape, dtype=_torch_type(kind), device=device)
            # Least index, −1 times the largest, first sample with a logit that is not finite, first that
            # a batch has twice, and whether all rows look like probabilities.
            n = self._samples
            self._least = torch.tensor([n, n, n, n, 1]).to(device)

    def _move(self, device: torch.device) -> None:
        self._labels, self._least = self._labels.to(device), self._least.to(device)
        self._current = {name: tensor.to(device) for name, tensor in self._current.items()}
        self._pending = [(one.to(device), other.to(device)) for one, other in self._pending]

    def _clear(self) -> None:
        self._current, self._pending, self._least = {}, [], None
        self._waiting = self._recorded = 0

    @torch.no_grad()
    def _compute(self) -> None:
        """Turn the pending logits into statistics, in one go."""
        if not self._pending:
            return
        with torch.inference_mode(False):
            indices = torch.cat([indices for indices, _ in self._pending])
            logits = torch.cat([logits for _, logits in self._pending]).float()
            outside = (indices < 0) | (indices >= self._samples)
            sample = indices.masked_fill(outside, 0)
            last, again = self._repeats(indices)
            self._look(indices, sample, logits, again)
            place = sample.masked_fill(outside | ~last, self._samples)
            found = statistics(logits, self._labels[sample])
            found["seen"] = torch.ones_like(outside)
            for name, tensor in self._current.items():
                tensor[place] = found[name].to(tensor.dtype)
        self._recorded += len(indices)
        self._pending.clear()
        self._waiting = 0

    def _repeats(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Return of the pending records (B,) which are the last of their sample, and which its batch has again."""
        lengths = [len(indices) for indices, _ in self._pending]
        numbers = np.repeat(np.arange(len(lengths)), lengths)
        batches = torch.from_numpy(numbers).to(indices.device, non_blocking=True)
        # Stable, so that the records of a sample keep their order, and those of a batch stand together.
        ordered, order = torch.sort(indices, stable=True)
        same = ordered[1:] == ordered[:-1]
        last, again = (
            torch.ones_like(ordered, dtype=torch.bool),
            torch.zeros_like(ordered, dtype=torch.bool),
        )
        last[order[:-1]] = ~same
        again[order[:-1]] = same & (batches[order[1:]] == batches[order[:-1]])
        return last, again

    def _look(self, indices: Tensor, sample: Tensor, logits: Tensor, again: Tensor) -> None:
        """Note on the device what is to be refused at the end of the epoch."""
        whole = torch.isfinite(logits).all(1)
        distribution = ((logits.sum(1) - 1).abs() <= TOLERANCE) & (logits >= -TOLERANCE).all(1)
        if self._labels.ndim == 2:
            distribution = torch.zeros_like(distribution)
        found = [
            indices.min(),
            -indices.max(),
            sample.masked_fill(whole, self._samples).min(),
            sample.masked_fill(~again, self._samples).min(),
            distribution.all().long(),
        ]
        self._least = torch.minimum(self._least, torch.stack(found))

    def _gathered(self) -> tuple[dict[str, Tensor], int, list[int]]:
        """Return the epoch of all processes: arrays (N + 1, …), the number of records, and what was noted."""
        processes, found = self._processes, self._current
        recorded = torch.tensor(self._recorded, device=self._least.device)
        if processes.size > 1:
            mine = found["seen"].int() * (processes.rank + 1)
            other = processes.most(mine) != processes.rank + 1
            found = {
                name: _summed(processes, tensor, other) for name, tensor in self._current.items()
            }
        return (
            found,
            int(processes.sum(recorded)),
            processes.least(self._least).tolist(),
        )

    def _check(self, recorded: int, least: list[int]) -> None:
        """Raise UserError if what was recorded is no epoch."""
        epoch, samples = f"epoch {self.epoch + 1}", self._samples
        if not recorded:
            raise UserError(
                f"{epoch} ended with nothing recorded: call record for every batch of it"
            )
        low, high, odd, again, alike = least[0], -least[1], *least[2:]
        if low < 0 or high >= samples:
            raise UserError(
                f"{epoch}: indices has {low if low < 0 else high}, but it is to be from 0 to "
                f"{samples - 1}, places in labels ({samples},)"
            )
        if again < samples and not self.replacement:
            raise UserError(
                f"{epoch}: indices has {again} twice in a batch, but a batch is to have a sample once; for "
                "a sampler that draws with replacement, give replacement=True"
            )
        if odd < samples:
            raise UserError(
                f"{epoch}: logits of sample {odd} are NaN or infinite, but they are to be finite: has the "
                "training diverged?"
            )
        if alike:
            raise UserError(
                f"{epoch}: logits has rows from 0 to 1 that add up to 1, all of them: these look like "
                "probabilities, but they are to be what softmax is taken of"
            )

    def _tell(self, repeats: int) -> None:
        if repeats and not self.repeated and self._processes.first:
            say(
                f"{self._files.folder}: in epoch {self.epoch + 1} {repeats} records were of samples that it "
                "had before; the last of a sample counts (said once)"
            )
        self.repeated += repeats


def _summed(processes: Processes, tensor: Tensor, other: Tensor) -> Tensor:
    """Return an array (N + 1, …) of all processes, each giving what is not another's."""
    number = tensor.int() if tensor.dtype == torch.bool else tensor
    own = number.masked_fill(other.view(-1, *[1] * (tensor.ndim - 1)), 0)
    return processes.sum(own).to(tensor.dtype)


def _classes(given: Any) -> int:
    if not _is_integer(given) or given < 2:
        raise UserError(f"classes is {given!r}, but it is to be an integer from 2")
    return int(given)


def _labels(given: Array, classes: int) -> Tensor:
    """Return labels (N,) or (N, C) as int64, if they are classes or rows of labels, else raise UserError."""
    labels = _tensor("labels", given)
    if not len(labels) or not _is_integral(labels) or labels.shape[1:] not in ((), (classes,)):
        raise UserError(
            f"labels is {_described(labels)}, but it is to be integers (N,), the class of each sample, or "
            f"rows (N, {classes}) of 0 and 1"
        )
    if labels.ndim == 2:
        if ((labels < 0) | (labels > 1)).any():
            raise UserError("labels has rows with other numbers than 0 and 1")
        return labels.detach().to(torch.int64)
    wrong = ((labels < 0) | (labels >= classes)).nonzero()
    if len(wrong):
        first = int(wrong[0])
        raise UserError(
            f"labels[{first}] is {int(labels[first])}, but it is to be from 0 to {classes - 1}, for "
            f"classes is {classes}"
        )
    return labels.detach().to(torch.int64)


def _tensor(name: str, given: Any) -> Tensor:
    if isinstance(given, Tensor):
        return given
    try:
        return torch.from_numpy(np.array(given, order="C"))
    except (TypeError, ValueError):
        raise UserError(
            f"{name} is a {type(given).__name__} that is no array of numbers: give a tensor or an array"
        ) from None


def _is_integer(given: Any) -> bool:
    return isinstance(given, int | np.integer) and not isinstance(given, bool)


def _is_integral(tensor: Tensor) -> bool:
    return not (tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool)


def _described(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"


def _torch_type(kind: type[np.generic]) -> torch.dtype:
    return torch.from_numpy(np.zeros(1, kind)).dtype
