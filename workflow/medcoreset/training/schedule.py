"""Length of a training and its learning rate, per iteration."""

import math
from dataclasses import dataclass
from itertools import accumulate

from medcoreset.errors import UserError
from medcoreset.training.options import TrainingOptions

SMALLEST_BATCH = 16
"""Samples that a batch has at least. Batch normalisation over two or three images, at the full
learning rate and in every epoch, costs a small coreset up to thirty points of accuracy."""


@dataclass(frozen=True)
class Plan:
    """The batches of a training on `samples` samples.

    `batches` are the (start, stop) positions in an epoch's order; `epochs` counts a last, partial
    epoch; `iterations` are the optimiser steps taken, `scheduled` those that the learning rate is made
    for, which are more where the training is to stop before. They are the same where the epochs have
    other numbers of samples, of which there then are more or fewer.
    """

    samples: int
    batches: tuple[tuple[int, int], ...]
    epochs: int
    iterations: int
    scheduled: int
    evaluate_every: int

    def batches_of(self, done: int, samples: int) -> tuple[tuple[int, int], ...]:
        """Return the batches of an epoch of `samples` after `done` iterations; the last may stop short.

        Those of another number than the plan's are near-equal, and no larger than the plan's largest,
        unless they had under `SMALLEST_BATCH` samples and fewer than that one.
        """
        batches = self.batches
        if samples != self.samples:
            largest = max(stop - start for start, stop in batches)
            most = samples // min(largest, SMALLEST_BATCH)
            batches = _spans(_equal(samples, max(1, min(math.ceil(samples / largest), most))))
        return batches[: self.iterations - done]

    def evaluates(self, before: int, after: int) -> bool:
        """Say whether an epoch between these numbers of iterations ends with an evaluation.

        The last one always does.
        """
        every = self.evaluate_every * len(self.batches)
        return after // every > before // every or after == self.iterations


def plan(samples: int, options: TrainingOptions) -> Plan:
    """Lay out a training on `samples` samples; one sample alone raises `UserError`."""
    if samples < 2:
        raise UserError(
            f"a coreset of {samples} sample cannot be trained on; at least 2 are needed"
        )
    batches = _spans(_sizes(samples, options))
    if options.length == "epochs":
        epochs, iterations = options.epochs, options.epochs * len(batches)
    else:
        epochs, iterations = math.ceil(options.iterations / len(batches)), options.iterations
    scheduled = iterations
    if 0 < options.stop_after < epochs:
        epochs, iterations = options.stop_after, options.stop_after * len(batches)
    return Plan(
        samples=samples,
        batches=batches,
        epochs=epochs,
        iterations=iterations,
        scheduled=scheduled,
        evaluate_every=max(1, options.evaluate_every // len(batches)),
    )


def _sizes(samples: int, options: TrainingOptions) -> list[int]:
    """Return the sizes of an epoch's batches.

    `even`: ⌈M / batch_size⌉ near-equal batches of M samples, or `min_batches` if that is more, but
    as few as it takes for none to be under `SMALLEST_BATCH`. Otherwise full batches, of which a
    small coreset has about `min_batches` too. What is left over is dropped or, as with a
    DataLoader's `drop_last=False`, kept; a single sample joins the batch before it, because batch
    normalisation cannot train on one.
    """
    if options.last_batch == "even":
        count = max(math.ceil(samples / options.batch_size), options.min_batches)
        count = max(1, min(count, samples // SMALLEST_BATCH))
        return _equal(samples, count)
    small = max(SMALLEST_BATCH, samples // options.min_batches)
    size = min(options.batch_size, samples, small)
    sizes, left = [size] * (samples // size), samples % size
    if options.last_batch == "keep" and left == 1:
        sizes[-1] += 1
    elif options.last_batch == "keep" and left:
        sizes.append(left)
    return sizes


def _equal(samples: int, count: int) -> list[int]:
    size, larger = divmod(samples, count)
    return [size + 1] * larger + [size] * (count - larger)


def _spans(sizes: list[int]) -> tuple[tuple[int, int], ...]:
    """Return where batches of these sizes, one after the other, start and stop."""
    stops = list(accumulate(sizes))
    return tuple(zip([0, *stops[:-1]], stops, strict=True))


def learning_rate(iteration: int, iterations: int, options: TrainingOptions) -> float:
    """Return the learning rate of a 0-based iteration of `iterations`.

    `cosine` is SGDR's Eq. (5) without restarts (Loshchilov & Hutter 2017), annealed per iteration
    from lr to min_lr over the whole training; `multistep` multiplies by gamma at each milestone.
    """
    if options.schedule == "cosine":
        share = (1 + math.cos(math.pi * iteration / iterations)) / 2
        return options.min_lr + (options.lr - options.min_lr) * share
    if options.schedule == "multistep":
        passed = sum(iteration >= milestone * iterations for milestone in options.milestones)
        return options.lr * options.gamma**passed
    return options.lr
