"""Length of a training and its learning rate, per iteration."""

import math
from dataclasses import dataclass

from medcoreset.errors import UserError
from medcoreset.training.options import TrainingOptions


@dataclass(frozen=True)
class Plan:
    """The batches of a training on `samples` samples.

    `batches` are the (start, stop) positions in an epoch's order; `epochs` counts a last, partial
    epoch; `iterations` are the optimiser steps of the whole training.
    """

    samples: int
    batches: tuple[tuple[int, int], ...]
    epochs: int
    iterations: int
    evaluate_every: int

    def batches_of(self, epoch: int) -> tuple[tuple[int, int], ...]:
        """Return the batches of a 0-based epoch; the last one may stop short."""
        return self.batches[: self.iterations - epoch * len(self.batches)]

    def evaluates_after(self, epoch: int) -> bool:
        """Say whether the 0-based `epoch` ends with an evaluation; the last one always does."""
        return (epoch + 1) % self.evaluate_every == 0 or epoch + 1 == self.epochs


def plan(samples: int, options: TrainingOptions) -> Plan:
    """Lay out a training on `samples` samples; one sample alone raises `UserError`.

    The batch is min(batch_size, M, max(16, M // min_batches)) for M samples, so that a small
    coreset still has some batches an epoch. No sample is lost unless `drop_last`, and a leftover of
    one sample joins the batch before it, because batch normalisation cannot train on one.
    """
    if samples < 2:
        raise UserError(
            f"a coreset of {samples} sample cannot be trained on; at least 2 are needed"
        )
    batch = min(options.batch_size, samples, max(16, samples // options.min_batches))
    starts = list(range(0, samples - batch + 1, batch))
    stops = [start + batch for start in starts]
    left = samples - stops[-1]
    if left == 1 and not options.drop_last:
        stops[-1] = samples
    elif left and not options.drop_last:
        starts.append(stops[-1])
        stops.append(samples)
    if options.length == "epochs":
        epochs, iterations = options.epochs, options.epochs * len(starts)
    else:
        epochs, iterations = math.ceil(options.iterations / len(starts)), options.iterations
    return Plan(
        samples=samples,
        batches=tuple(zip(starts, stops, strict=True)),
        epochs=epochs,
        iterations=iterations,
        evaluate_every=max(1, options.evaluate_every // len(starts)),
    )


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
