"""Training dynamics of a Lightning module; needs the extra `lightning`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from medcoreset.errors import UserError
from medcoreset.recording.recorder import Array, Recorder


class RecordDynamics(Callback):
    """Records what a module's `training_step` returns, into a folder that methods select from.

    The step is to return a mapping with `loss` and `logits` (B, C), and its batch is to hold the samples'
    numbers: last, as of `medcoreset.IndexedDataset`, or with the key `index`. Arguments are those of
    `medcoreset.Recorder`. A training that goes on from a checkpoint goes on in the same folder. With several
    processes, each records its part.
    """

    recorder: Recorder
    """What records, from the start of the training on."""

    def __init__(
        self,
        folder: str | Path,
        labels: Array,
        classes: int,
        epochs: int | None = None,
        *,
        probs_budget_mb: float = 256,
        replacement: bool = False,
    ) -> None:
        self.about = folder, labels, classes
        self.epochs, self.probs_budget_mb, self.replacement = epochs, probs_budget_mb, replacement
        self._begun = False
        self._state: dict[str, Any] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin a recording, or go on with that of the checkpoint."""
        if self._state:
            self.recorder = Recorder.resume(*self.about, replacement=self.replacement)
            self.recorder.load(self._state)
        elif not self._begun:
            self.recorder = Recorder(
                *self.about,
                self.epochs,
                probs_budget_mb=self.probs_budget_mb,
                replacement=self.replacement,
            )
        self._begun = True

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Write the epoch that a checkpoint had all batches of, but not the end: Lightning tells none."""
        if self._state and self.recorder.epoch < trainer.current_epoch:
            self.recorder.end_epoch()
        self._state = {}

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Record a batch; UserError if it has no index, or the step returned no logits."""
        if not isinstance(outputs, Mapping) or "logits" not in outputs:
            raise UserError(
                f"training_step returned a {type(outputs).__name__} without logits, but it is to return "
                '{"loss": loss, "logits": logits}'
            )
        if isinstance(batch, Mapping):
            index = batch.get("index")
        else:
            index = batch[-1] if isinstance(batch, list | tuple) and len(batch) > 2 else None
        if index is None:
            raise UserError(
                f"the batch is a {type(batch).__name__} without index: train on "
                "medcoreset.IndexedDataset(dataset)"
            )
        self.recorder.record(index, outputs["logits"])

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the epoch."""
        self.recorder.end_epoch()

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps of the recording."""
        return self.recorder.state() if self._begun else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take what a checkpoint kept."""
        self._state = state_dict
