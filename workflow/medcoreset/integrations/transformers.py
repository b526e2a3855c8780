"""Training dynamics of a model in a Hugging Face `Trainer`; needs the extra `transformers`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from medcoreset.errors import UserError
from medcoreset.recording.recorder import Array, Recorder

EPSILON = 1e-6
"""What rounding may take from the number of an epoch that is done."""


class RecordDynamics(TrainerCallback):
    """Records the logits of a classifier of images, text or anything, into a folder that methods select from.

    The training set is to have the samples' numbers in a column `index`, as `medcoreset.IndexedDataset` of
    mappings has; it reaches the model, so that `remove_unused_columns=False` is needed, and is taken away
    before the model's `forward`. Arguments are those of `medcoreset.Recorder`. A training that goes on
    from a checkpoint goes on in the same folder; of an epoch in the midst of which it was stopped, the samples
    before count as not seen. With several processes, each records its part.
    """

    recorder: Recorder
    """What records, from the beginning of the training on."""

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
        self._index: Any = None
        self._hooks: list[Any] = []

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """Begin a recording, or go on with that of the checkpoint.

        UserError if columns are removed, or one process trains on several GPUs, part of a batch on each.
        """
        if args.remove_unused_columns:
            raise UserError(
                "remove_unused_columns is True, but it is to be False in TrainingArguments: the column index "
                "would be removed"
            )
        if getattr(args, "n_gpu", 1) > 1:
            raise UserError(
                f"the process has {args.n_gpu} GPUs, but it is to have one: start the training by torchrun"
            )
        if state.global_step:
            done = int((state.epoch or 0) + EPSILON)
            self.recorder = Recorder.resume(*self.about, epoch=done, replacement=self.replacement)
        else:
            self.recorder = Recorder(
                *self.about,
                self.epochs,
                probs_budget_mb=self.probs_budget_mb,
                replacement=self.replacement,
            )
        model: nn.Module = kwargs["model"]
        self._hooks = [
            model.register_forward_pre_hook(self._take_index, with_kwargs=True),
            model.register_forward_hook(self._record),
        ]

    def on_epoch_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """Write the epoch."""
        self.recorder.end_epoch()

    def on_train_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """Leave the model as it was."""
        for hook in self._hooks:
            hook.remove()

    def _take_index(
        self, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        self._index = kwargs.get("index")
        if model.training and self._index is None:
            raise UserError(
                "the batch has no column index: train on medcoreset.IndexedDataset(dataset)"
            )
        return args, {name: value for name, value in kwargs.items() if name != "index"}

    def _record(self, model: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        if not model.training:
            return
        logits = output.get("logits") if isinstance(output, Mapping) else None
        if logits is None:
            raise UserError(
                f"the model returned a {type(output).__name__} without logits, but it is to be a classifier"
            )
        self.recorder.record(self._index, logits)
