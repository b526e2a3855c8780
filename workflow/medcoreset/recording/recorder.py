"""Training dynamics: what every sample's prediction was at every epoch, recorded by any training loop."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from medcoreset.errors import UserError, say
from medcoreset.recording.epoch import Epoch, Noted
from medcoreset.recording.files import Recording
from medcoreset.recording.processes import Processes

Array = Tensor | np.ndarray | Sequence[int]


class Recorder:
    """Records the training dynamics of any training loop into a folder that methods select from.

    `record` every batch, `end_epoch` every epoch. The folder is evidence at any time: `labels.npy` (N,), one
    `.npy` (T, N) per statistic (`error_norm` ‖p − y‖₂, `margin`, `logit_margin`, `target_prob`, `entropy`,
    `correct`, `seen`; `recording/statistics.py` has their formulas), and `probs.npy` (T, N, C) float16 if
    that is at most `probs_budget_mb` MB. Entries of samples that an epoch did not visit are zero, and
    `seen` is false there: methods leave them out.

    `labels` are the classes of all training samples, integers (N,) from 0 to `classes` − 1, or of several labels
    per sample rows (N, `classes`) of 0 and 1; `indices` are places in them. `epochs` is T; None lets the
    files grow (and drops `probs.npy` when it becomes too large). A batch may not have a sample twice, unless
    the sampler draws with `replacement`; of several records of a sample in an epoch the last counts, and
    one line says so.

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
        if not isinstance(probs_budget_mb, int | float | np.number) or not probs_budget_mb >= 0:
            raise UserError(f"probs_budget_mb is {probs_budget_mb!r}, but it is to be 0 or more")
        length = None if epochs is None else int(epochs)
        about = self._samples, self.classes, length, float(probs_budget_mb)
        self._files = Recording(Path(folder), *about)
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
            files = Recording.started(Path(folder), own, recorder.classes)
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
        self._epoch: Epoch | None = None

    def record(self, indices: Array, logits: Tensor | np.ndarray) -> None:
        """Take the logits (B, C) of the samples `indices` (B,), of one batch of the current epoch.

        Both are tensors on any device or numpy arrays, the logits of any real type. They are copied, and
        nothing is computed yet. Raises UserError for other shapes and types.
        """
        numbers, rows = _tensor("indices", indices), _tensor("logits", logits).detach()
        if numbers.ndim != 1 or not _is_integral(numbers):
            raise UserError(
                f"indices is {_described(numbers)}, but it is to be integers (B,), the batch's samples"
            )
        if rows.shape != (len(numbers), self.classes) or not rows.is_floating_point():
            raise UserError(
                f"logits is {_described(rows)}, but it is to be real ({len(numbers)}, {self.classes}), "
                "a row for each of the indices and a column for each class"
            )
        if not len(numbers):
            return
        if self._epoch is None:
            self._epoch = self._begun(rows.device)
        elif self._epoch.device.type == "cpu" != rows.device.type:
            self._epoch.to(rows.device)  # a state was loaded from a file
        self._epoch.record(numbers, rows)

    def end_epoch(self) -> None:
        """Write what was recorded since the last call, as the next epoch.

        Raises UserError, and writes nothing, if nothing was recorded, if indices are none of 0 … N−1 or
        repeated within a batch, if logits are not finite or all of them look like probabilities,
        or for more epochs than there were to be. Then the recorder is as it was before the epoch.
        """
        epoch, self._epoch = self._epoch, None
        if epoch is None:
            epoch = self._begun(self._labels.device)
        found, recorded, noted = epoch.gathered(self._processes)
        self._check(recorded, noted)

        def written() -> Recording:
            return self._files.write(
                self.epoch, {name: array.cpu().numpy() for name, array in found.items()}
            )

        self._files = self._processes.after_first(written)
        self._tell(recorded - int(found["seen"].sum()))
        self.epoch += 1

    def state(self) -> dict[str, Any]:
        """Return what is recorded of the current epoch, for a checkpoint in the midst of it.

        Epochs that the checkpoint will count as done reach the disk first. Of several processes that record
        together, the state is without the current epoch: what they recorded of it will count as not seen.
        """
        if self._processes.first:
            self._files.flush()
        if self._epoch is None or self._processes.size > 1:
            return {"epoch": self.epoch}
        return {"epoch": self.epoch, **self._epoch.state()}

    def load(self, state: dict[str, Any]) -> None:
        """Go on in the midst of an epoch, from a checkpoint's `state`; later epochs are forgotten."""
        self.epoch = state["epoch"]
        self._processes.after_first(lambda: self._files.cut(self.epoch))
        self._epoch = None
        if "noted" in state:
            self._epoch = self._begun(state["noted"].device)
            self._epoch.load(state)

    def _begun(self, device: torch.device) -> Epoch:
        """Return an epoch without records, on the labels' device, or if that is the CPU on `device`."""
        if self._labels.device.type == "cpu" and device.type != "cpu":
            with torch.inference_mode(False):
                self._labels = self._labels.to(device)
        return Epoch(self._labels, self.classes, probs=self._files.keeps_probs(self.epoch))

    def _check(self, recorded: int, noted: Noted) -> None:
        """Raise UserError if what was recorded is no epoch."""
        epoch, samples = f"epoch {self.epoch + 1}", self._samples
        low, high, odd, again, alike = noted
        if not recorded:
            raise UserError(
                f"{epoch} ended with nothing recorded: call record for every batch of it"
            )
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


def _classes(given: Any) -> int:
    if not _is_integer(given) or given < 2:
        raise UserError(f"classes is {given!r}, but it is to be an integer from 2")
    return int(given)


def _labels(given: Array, classes: int) -> Tensor:
    """Return labels (N,) or (N, C) as int64, if they are classes or rows of labels, else raise UserError."""
    labels = _tensor("labels", given)
    fitting = labels.ndim and len(labels) and labels.shape[1:] in ((), (classes,))
    if not fitting or not _is_integral(labels):
        raise UserError(
            f"labels is {_described(labels)}, but it is to be integers (N,), the class of each sample, or "
            f"rows (N, {classes}) of 0 and 1"
        )
    if labels.ndim == 2:
        wrong = ((labels < 0) | (labels > 1)).nonzero()
        if len(wrong):
            row, column = wrong[0].tolist()
            raise UserError(
                f"labels[{row}, {column}] is {int(labels[row, column])}, but rows of labels are to be of 0 and 1"
            )
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
