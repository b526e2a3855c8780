"""The training loop: surrogates and coreset runs, one seed or several in step."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from medcoreset import seeding
from medcoreset.errors import UserError
from medcoreset.training import evaluation, optimizer
from medcoreset.training.checkpoint import Checkpoint, Interruption
from medcoreset.training.data import Crops, Data, Split, epoch_crops, epoch_order
from medcoreset.training.dynamics import Recorder
from medcoreset.training.options import TrainingOptions
from medcoreset.training.progress import Progress
from medcoreset.training.reporting import possible
from medcoreset.training.schedule import SMALLEST_BATCH, learning_rate, plan
from medcoreset.training.stack import Stack


@dataclass(frozen=True)
class Member:
    """One seed of a training: the samples (M,) it trains on, and their weights (M,) if any."""

    seed: int
    indices: np.ndarray
    weights: np.ndarray | None = None


class Training:
    """Trains the networks of `stack`, one per member, all on equally many samples.

    With S members, batches are (S, B, …): each member has its own data order, augmentation and
    samples, the optimiser works on all of them at once, and nothing mixes them. With a `recorder`
    (one member only) the dynamics are written at every epoch.

    Between two steps the whole state is `state()`: a training that loads it goes on to the same
    bytes as one that never stopped.
    """

    def __init__(
        self,
        stack: Stack,
        data: Data,
        members: list[Member],
        options: TrainingOptions,
        *,
        checkpoint: Checkpoint,
        interruption: Interruption,
        progress: Progress,
        recorder: Recorder | None = None,
    ) -> None:
        self.stack, self.data, self.members, self.options = stack, data, members, options
        self.recorder = recorder
        self.checkpoint, self.interruption, self.progress = checkpoint, interruption, progress
        self.device = data.train.labels.device
        self.plan = plan(len(members[0].indices), options)
        self.indices = self._on_device(np.stack([member.indices for member in members]))
        self.weights = self._weights()
        self.optimizer = optimizer.build(stack.parameters(), options)
        self.evaluated = (
            {"val": data.val, "test": data.test} if len(data.val) else {"test": data.test}
        )
        labels = {name: split.labels.cpu().numpy() for name, split in self.evaluated.items()}
        rules = possible(has_val="val" in labels)
        self.reports = [evaluation.Reports(member.seed, rules, labels) for member in members]
        self.histories: list[list[dict[str, float]]] = [[] for _ in members]
        self.logits: dict[str, torch.Tensor] = {}
        self.epoch = self.step = 0
        self.parts = 1
        self.losses = torch.zeros(len(self.plan.batches), len(members), device=self.device)
        self.correct = torch.zeros(len(members), dtype=torch.int64, device=self.device)
        self.seconds = self.training_seconds = 0.0

    def run(self) -> None:
        """Train to the end, from wherever the state is."""
        self.progress.start(self.plan.iterations, self._iterations_done())
        self.clock = time.perf_counter()
        while self.epoch < self.plan.epochs:
            self._train_epoch()
            self._finish_epoch()
        if self.plan.epochs == 0:
            self.logits = self._evaluate()
            self._report(0, self.logits, last=True)
        self._tick()
        self.progress.close()

    def pause(self) -> None:
        """Checkpoint if it is time to; checkpoint and leave the process if a signal arrived."""
        stopping = self.interruption.signal is not None
        if stopping or self.checkpoint.due():
            self.checkpoint.save(self.state())
        if stopping:
            self.interruption.leave(self.checkpoint.path)

    def predict(self, split: Split) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the features (S, n, D) and logits (S, n, classes) in evaluation mode."""
        return evaluation.predict(self.stack, split, self.pause)

    def state(self) -> dict[str, Any]:
        """Return everything that the rest of the training depends on."""
        self._tick()
        return {
            "networks": self.stack.tensors(),
            "optimizer": self.optimizer.state_dict(),
            "random": torch.get_rng_state(),
            "random_cuda": (
                torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None
            ),
            "recorder": self.recorder and self.recorder.state(),
            "reports": [reports.state() for reports in self.reports],
            "histories": self.histories,
            "logits": self.logits,
            "position": [self.epoch, self.step, self.parts],
            "epoch": [self.losses, self.correct],
            "seconds": [self.seconds, self.training_seconds],
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a `state`."""
        self.stack.load(state["networks"])
        self.optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["random"].cpu())
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(state["random_cuda"].cpu(), self.device)
        if self.recorder:
            self.recorder.load(state["recorder"])
        for reports, saved in zip(self.reports, state["reports"], strict=True):
            reports.load(saved)
        self.histories, self.logits = state["histories"], state["logits"]
        self.epoch, self.step, self.parts = state["position"]
        self.losses, self.correct = state["epoch"]
        self.seconds, self.training_seconds = state["seconds"]

    def _train_epoch(self) -> None:
        """Train from the current step to the end of the current epoch, without synchronising."""
        batches = self.plan.batches_of(self.epoch)
        if self.step == len(batches):
            return
        if self.step == 0:
            # Dropout is the one thing that draws from torch's own generator.
            torch.manual_seed(
                seeding.stream_seed(self.members[0].seed, "augmentation", self.epoch, 1)
            )
        order = self._on_device(self._orders())
        indices = self.indices.gather(1, order)
        weights = None if self.weights is None else self.weights.gather(1, order)
        crops = self._crops() if self.options.augmentation != "none" else None
        self.stack.train()
        began = time.perf_counter()
        parts = [(slice(None), slice(start, stop)) for start, stop in batches[self.step :]]
        for part, images in zip(parts, self._images(indices, crops, parts), strict=True):
            self._train_step(indices[part], images, None if weights is None else weights[part])
            self.step += 1
            self.progress.advance()
            if self.step < len(batches):
                self.pause()
        self._check_losses(len(batches))
        self.training_seconds += time.perf_counter() - began

    def _train_step(
        self, indices: torch.Tensor, images: torch.Tensor, weights: torch.Tensor | None
    ) -> None:
        """Take one optimiser step on the samples `indices` (S, B) and their images."""
        labels = self.data.train.labels[indices]
        loss, logits = self._gradients(images, labels, weights)
        self.optimizer.step(self._rate(self.step))
        self.losses[self.step] = loss
        self.correct += (logits.argmax(2) == labels).sum(1)
        if self.recorder and self.options.record == "train":
            self.recorder.record(indices[0], logits[0])

    def _gradients(
        self, images: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute the gradients of a batch; return its mean loss (S,) and logits (S, B, classes).

        Out of GPU memory, and if the options allow it, the batch is taken in ever smaller parts
        whose gradients add up, from then on; none has fewer images than a batch may have.
        """
        while True:
            self.optimizer.zero_grad()
            try:
                return self._accumulated(images, labels, weights)
            except torch.cuda.OutOfMemoryError:
                if not self.options.accumulate or labels.shape[1] < 2 * self.parts * SMALLEST_BATCH:
                    raise
                self.parts *= 2
                torch.cuda.empty_cache()

    def _accumulated(
        self, images: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        found, total = [], torch.zeros(len(labels), device=self.device)
        for part in torch.arange(labels.shape[1]).tensor_split(self.parts):
            chosen = slice(int(part[0]), int(part[-1]) + 1)
            _, logits = self.stack(images[:, chosen])
            losses = functional.cross_entropy(
                logits.flatten(0, 1), labels[:, chosen].flatten(), reduction="none"
            ).view_as(labels[:, chosen])
            if weights is not None:
                losses = losses * weights[:, chosen]
            loss = losses.sum(1) / labels.shape[1]
            loss.sum().backward()
            total += loss.detach()
            found.append(logits.detach())
        return total, torch.cat(found, 1)

    def _finish_epoch(self) -> None:
        """Write the epoch's dynamics, evaluate if it is due, and note the epoch's history."""
        batches = self.plan.batches_of(self.epoch)
        last = self.epoch + 1 == self.plan.epochs
        evaluates = self.plan.evaluates_after(self.epoch)
        logits = {}
        if evaluates:
            logits = self._evaluate()
        if self.recorder:
            if self.options.record == "eval":
                everything = torch.arange(len(self.data.train), device=self.device)
                self.recorder.record(everything, self.predict(self.data.train)[1][0])
            self.recorder.finish_epoch(self.epoch)
        seen = batches[-1][1]
        sizes = self._on_device(np.array([[stop - start] for start, stop in batches]))
        train_loss = ((self.losses[: len(batches)].double() * sizes).sum(0) / seen).tolist()
        train_accuracy = (self.correct.double() / seen).tolist()
        for member in range(len(self.members)):
            entry = {
                "epoch": self.epoch + 1,
                "lr": self._rate(0),
                "train_loss": train_loss[member],
                "train_accuracy": train_accuracy[member],
            }
            self.histories[member].append(entry)
        if evaluates:
            self._report(self.epoch + 1, logits, last=last)
        if last:
            self.logits = logits
        self.progress.epoch(self.histories)
        self.epoch, self.step = self.epoch + 1, 0
        self.correct.zero_()
        self.pause()

    def _evaluate(self) -> dict[str, torch.Tensor]:
        """Return the logits (S, n, classes) of every split that has samples to evaluate."""
        return {name: self.predict(split)[1].cpu() for name, split in self.evaluated.items()}

    def _report(self, epoch: int, logits: dict[str, torch.Tensor], *, last: bool) -> None:
        """Let every member's rules see the logits of a 1-based epoch, and note the accuracies."""
        for member, reports in enumerate(self.reports):
            scored = {split: found[member].numpy() for split, found in logits.items()}
            accuracies = reports.update(epoch, scored, last=last)
            if self.histories[member]:
                self.histories[member][-1] |= accuracies

    def _rate(self, step: int) -> float:
        """Return the learning rate of a step of the current epoch."""
        iteration = self.epoch * len(self.plan.batches) + step
        return learning_rate(iteration, self.plan.iterations, self.options)

    def _iterations_done(self) -> int:
        return min(self.epoch * len(self.plan.batches) + self.step, self.plan.iterations)

    def _orders(self) -> np.ndarray:
        """Return each member's data order of the current epoch, (S, M)."""
        return np.stack(
            [epoch_order(member.seed, self.epoch, self.plan.samples) for member in self.members]
        )

    def _crops(self) -> Crops:
        """Return each member's crops and flips of the current epoch, by position in its order."""
        drawn = [epoch_crops(member.seed, self.epoch, self.plan.samples) for member in self.members]
        shifts, flips = zip(*drawn, strict=True)
        return Crops(self._on_device(np.stack(shifts)), self._on_device(np.stack(flips)))

    def _images(
        self, indices: torch.Tensor, crops: Crops | None, parts: list[tuple[slice, slice]]
    ) -> Iterator[torch.Tensor]:
        """Yield the images (S, B, channels, H, W) of each part of an epoch's `indices` (S, M)."""
        random = None
        if self.options.augmentation == "resized_crop_flip":
            random = seeding.stream_seed(self.members[0].seed, "augmentation", self.epoch, 2)
        batches = [indices[part].flatten() for part in parts]
        cropped = crops and [
            Crops(crops.shift[part].flatten(0, 1), crops.flip[part].flatten()) for part in parts
        ]
        for part, images in zip(
            parts, self.data.train.batches(batches, cropped, random=random), strict=True
        ):
            yield images.unflatten(0, indices[part].shape)

    def _weights(self) -> torch.Tensor | None:
        """Return the members' sample weights (S, M), of mean 1, if the loss is weighted.

        (The code of DeepCore divides by the sum of the weights in every batch instead.)
        """
        lacking = [member.weights is None for member in self.members]
        wanted = self.options.weighted_loss
        if wanted == "false" or (wanted == "where_given" and all(lacking)):
            return None
        if any(lacking):
            raise UserError("weighted_loss: this coreset has no weights; its method gives none")
        weights = np.stack([member.weights for member in self.members]).astype(np.float32)
        return self._on_device(weights / weights.mean(1, keepdims=True))

    def _check_losses(self, steps: int) -> None:
        """Raise `UserError` at the first step of the epoch whose loss is not a finite number."""
        finite = torch.isfinite(self.losses[:steps]).all(1).cpu()
        if not finite.all():
            step = int(finite.logical_not().nonzero()[0])
            raise UserError(
                f"the loss is not finite at epoch {self.epoch + 1}, step {step + 1} of {steps}, "
                f"lr {self._rate(step):g}; try a lower lr, or precision float32 instead of bf16"
            )

    def _tick(self) -> None:
        """Add the time since the last call to the run's seconds."""
        now = time.perf_counter()
        self.seconds, self.clock = self.seconds + now - self.clock, now

    def _on_device(self, array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(array).to(self.device, non_blocking=True)
