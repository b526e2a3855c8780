"""Stage `surrogate`: train on the full training set and dump the training dynamics."""

from pathlib import Path
from typing import Any

import click

from medcoreset.commands.flags import SEED, Number, Stage, job_flags, training_flags
from medcoreset.commands.flags import recipe as recipe_flags
from medcoreset.plan import FULL
from medcoreset.training.options import TrainingOptions


@click.command(cls=Stage)
@job_flags
@click.option(
    "--seed", type=SEED, required=True, help="Seed of initialisation, data order and augmentation."
)
@click.option(
    "--half",
    type=click.IntRange(1, 2),
    help="Train on one of two halves of the training set, which the seed draws, and record no dynamics.",
)
@click.option(
    "--probs-budget-mb",
    type=Number(min=0),
    default=256,
    show_default=True,
    help="Keep the full probabilities of every epoch if they fit this many MB.",
)
@training_flags
@recipe_flags
def command(
    dataset: Path,
    protocol: str,
    network: str,
    device: str,
    threads: int,
    checkpoint_seconds: float,
    out: Path,
    seed: int,
    half: int | None,
    probs_budget_mb: float,
    recipe: str,
    expects: tuple[str, ...],
    **training: Any,
) -> None:
    """Train a surrogate on the full training set and dump its training dynamics.

    Writes DIR/evidence, DIR/model.pt, DIR/predictions.npz and DIR/metrics.json. Stopped by a
    signal, it resumes from its last checkpoint when run again. On several GPUs,
    `torchrun --nproc-per-node=2 -m medcoreset surrogate …` trains one network with a process per GPU, each
    on its part of every batch.
    """
    options = TrainingOptions.from_mapping(training)
    from medcoreset.training.run import Job, train_surrogate

    job = Job(
        dataset=dataset,
        network=network,
        options=options,
        out=out,
        recipe=recipe,
        expects=expects,
        run={
            "protocol": protocol,
            "surrogate": network,
            "method": FULL,
            "rate": 1.0,
            **({"half": half} if half else {}),
        },
        device=device,
        threads=threads,
        checkpoint_seconds=checkpoint_seconds,
    )
    train_surrogate(job, seed, probs_budget_mb, half or 0)
