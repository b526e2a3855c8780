"""Training dynamics: what every sample's prediction was at every epoch, written epoch by epoch."""

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import logsigmoid

from medcoreset.errors import storage_error
from medcoreset.training.objective import right

STATISTICS = {
    "error_norm": np.float32,
    "margin": np.float32,
    "logit_margin": np.float32,
    "target_prob": np.float32,
    "entropy": np.float32,
    "correct": np.bool_,
    "seen": np.bool_,
}
"""The statistics of a sample and epoch, as the evidence names them, with their types."""

BLOCK_BYTES = 64 * 2**20
"""Logits kept on the device before their statistics are computed; bounds memory, not results."""


def statistics(logits: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return the statistics (B,) of logits (B, C) with respect to labels (B,), and `probs` (B, C).

    With p = softmax(logits) and y one-hot: `error_norm` ‖p − y‖₂ (EL2N's and EVA's error vector),
    `margin` p_y − max_{k≠y} p_k and `logit_margin` the same of logits (AUM), `target_prob` p_y,
    `entropy` −Σ p ln p in nats, `correct` whether the label has the largest logit.

    Of several labels per sample, (B, L), see `_of_labels`.
    """
    logits = logits.float()
    if labels.ndim == 2:
        return _of_labels(logits, labels)
    log_probs = torch.log_softmax(logits, dim=1)
    probs = log_probs.exp()
    target = labels[:, None]
    error = probs.scatter_add(1, target, torch.full_like(target, -1, dtype=probs.dtype))
    others = logits.scatter(1, target, -torch.inf)
    best_other = others.max(1)
    target_prob = probs.gather(1, target)[:, 0]
    return {
        "error_norm": torch.linalg.vector_norm(error, dim=1),
        "margin": target_prob - probs.gather(1, best_other.indices[:, None])[:, 0],
        "logit_margin": logits.gather(1, target)[:, 0] - best_other.values,
        "target_prob": target_prob,
        "entropy": -(probs * log_probs).sum(1),
        "correct": logits.argmax(1) == labels,
        "probs": probs,
    }


def _of_labels(logits: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return the statistics (B,) of logits (B, L) with respect to labels (B, L) of 0 and 1, and `probs`.

    `error_norm` is ‖p − y‖₂ of the sigmoids p. All others are those of the 2^L classes that rows of
    labels are (the label powerset: Tsoumakas and Katakis, IJDWM 2007), where the
    probability of a row is the product of those of its labels. So `target_prob` is the product over
    labels of the probability of what is given, −ln of it the sum of the binary cross-entropies,
    `entropy` the sum of the labels' entropies, `correct` whether all labels are right, and the
    margins are from the given row to the most probable other one. With m_k = ±z_k, the logit of what
    is given for label k, that of logits is min m_k if all are right, else the sum of the negative m_k.
    """
    given = torch.where(labels.bool(), logits, -logits)
    log_target = logsigmoid(given).sum(1)
    lowest = given.min(1).values
    margin = torch.where(lowest >= 0, lowest, given.clamp(max=0).sum(1))
    probs = torch.sigmoid(logits)
    entropies = probs * logsigmoid(logits) + torch.sigmoid(-logits) * logsigmoid(-logits)
    return {
        "error_norm": torch.linalg.vector_norm(torch.sigmoid(-given), dim=1),
        "margin": log_target.exp() - (log_target - margin).exp(),
        "logit_margin": margin,
        "target_prob": log_target.exp(),
        "entropy": -entropies.sum(1),
        "correct": right(logits, labels).all(1),
        "probs": probs,
    }


class Recorder:
    """Collects one epoch's logits on the device and writes its statistics to memory-mapped files.

    `folder` gets one `.npy` (epochs, N) per statistic, and `probs.npy` (epochs, N, C) float16 if
    that fits `probs_budget_mb`. Rows of epochs not yet written are zero, as are the entries of
    samples that an epoch did not visit (`seen` is false there). Writing a row again is harmless,
    so an interrupted epoch can simply be recorded again.
    """

    def __init__(
        self,
        folder: Path,
        labels: torch.Tensor,
        *,
        classes: int,
        epochs: int,
        probs_budget_mb: float,
    ) -> None:
        samples = len(labels)
        self.labels = labels
        self.files = {
            name: _memory_map(folder / f"{name}.npy", (epochs, samples), kind)
            for name, kind in STATISTICS.items()
        }
        if epochs * samples * classes * 2 <= probs_budget_mb * 1e6:
            self.files["probs"] = _memory_map(
                folder / "probs.npy", (epochs, samples, classes), np.float16
            )
        self.current = {
            name: torch.zeros(file.shape[1:], dtype=_torch_type(file), device=labels.device)
            for name, file in self.files.items()
        }
        self.rows = max(1, BLOCK_BYTES // (4 * classes))
        self.pending: list[tuple[torch.Tensor, torch.Tensor]] = []
        self.waiting = 0

    def record(self, indices: torch.Tensor, logits: torch.Tensor) -> None:
        """Take the logits (B, C) of the samples `indices` (B,) without computing anything yet."""
        self.pending.append((indices, logits.detach()))
        self.waiting += len(indices)
        if self.waiting >= self.rows:
            self._compute()

    def finish_epoch(self, epoch: int) -> None:
        """Write the row of the 0-based `epoch` and start the next one."""
        self._compute()
        for name, file in self.files.items():
            file[epoch] = self.current[name].cpu().numpy()
            self.current[name].zero_()

    def state(self) -> dict[str, Any]:
        """Return what is recorded of the current epoch, for a checkpoint.

        Rows of epochs that the checkpoint will count as done reach the disk first.
        """
        for file in self.files.values():
            file.flush()
        return {"current": self.current, "pending": self.pending}

    def load(self, state: dict[str, Any]) -> None:
        """Continue an epoch from a checkpoint's `state`."""
        self.current, self.pending = state["current"], list(state["pending"])
        self.waiting = sum(len(indices) for indices, _ in self.pending)

    def _compute(self) -> None:
        """Turn the pending logits into statistics, in one go."""
        if not self.pending:
            return
        indices = torch.cat([waiting for waiting, _ in self.pending])
        found = statistics(torch.cat([logits for _, logits in self.pending]), self.labels[indices])
        found["seen"] = torch.ones_like(indices, dtype=torch.bool)
        for name, tensor in self.current.items():
            tensor[indices] = found[name].to(tensor.dtype)
        self.pending.clear()
        self.waiting = 0


def _memory_map(path: Path, shape: tuple[int, ...], kind: type) -> np.memmap:
    """Open the `.npy` at `path` for writing, keeping what an interrupted run wrote into it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        found = np.load(path, mmap_mode="r+", allow_pickle=False)
        if found.shape == shape and found.dtype == kind:
            return found
    file = np.lib.format.open_memmap(path, mode="w+", dtype=kind, shape=shape)
    _reserve(path)
    return file


def _reserve(path: Path) -> None:
    """Claim the disk space of a whole new file, where that can be done; UserError if it is full.

    A write to mapped memory that finds the disk full would end the process without a word.
    """
    if not hasattr(os, "posix_fallocate"):  # macOS
        return
    try:
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    except OSError as problem:
        if told := storage_error(problem, path):
            shutil.rmtree(path.parent)  # nothing is recorded yet
            raise told from problem


def _torch_type(file: np.memmap) -> torch.dtype:
    return torch.from_numpy(np.zeros(1, file.dtype)).dtype
