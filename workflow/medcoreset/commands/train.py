"""Stage `train`: train a network on coresets, of all seeds in one process."""

from pathlib import Path
from typing import Any

import click

from medcoreset import identity, methods
from medcoreset.commands import flags
from medcoreset.commands.flags import Number, Stage, job_flags, training_flags
from medcoreset.commands.flags import recipe as recipe_flags
from medcoreset.errors import UserError
from medcoreset.methods.registry import Balance
from medcoreset.seeding import parse_seeds
from medcoreset.selection.budget import Rounding
from medcoreset.selection.redraw import Redraw
from medcoreset.training.options import TrainingOptions


@click.command(cls=Stage)
@job_flags
@click.option("--seeds", required=True, metavar="0,1,2", help="Seeds, one run each.")
@click.option(
    "--trainings",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Networks per seed, trained on its coreset, with seeds 1,000 apart.",
)
@click.option(
    "--coresets",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of seed0.npz …; without it, the full training set is trained on.",
)
@click.option(
    "--draw",
    metavar="METHOD",
    help="Dynamic method, which selects anew in every epoch, in place of coresets.",
)
@flags.settings
@flags.rounding
@flags.balance
@click.option("--surrogate", required=True, help="Surrogate that the coreset was selected with.")
@click.option(
    "--method", required=True, help="Method, with its options, that selected the coreset."
)
@click.option("--rate", type=Number(), required=True, help="Selection rate of the coreset.")
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
    seeds: str,
    trainings: int,
    coresets: Path | None,
    draw: str | None,
    settings: tuple[str, ...],
    rounding: Rounding,
    balance: Balance | None,
    surrogate: str,
    method: str,
    rate: float,
    recipe: str,
    expects: tuple[str, ...],
    **training: Any,
) -> None:
    """Train a network on coresets, one run per seed.

    Writes DIR/predictions.npz and DIR/metrics.json. Seeds that an earlier, equal job finished are
    reused; stopped by a signal, the job resumes from its last checkpoint when run again.
    """
    options = TrainingOptions.from_mapping(training)
    numbers = parse_seeds(seeds)
    redraw = _redraw(draw, settings, rate, rounding, balance)
    if redraw and coresets:
        raise UserError("give either --coresets or --draw")
    from medcoreset.training.run import Job, train_coresets

    job = Job(
        dataset=dataset,
        network=network,
        options=options,
        out=out,
        recipe=recipe,
        expects=expects,
        run={"protocol": protocol, "surrogate": surrogate, "method": method, "rate": rate},
        device=device,
        threads=threads,
        checkpoint_seconds=checkpoint_seconds,
        draw=redraw,
    )
    train_coresets(job, numbers, coresets, trainings)


def _redraw(
    name: str | None,
    settings: tuple[str, ...],
    rate: float,
    rounding: Rounding,
    balance: Balance | None,
) -> Redraw | None:
    if name is None:
        return None
    method = methods.get(name)
    if not method.dynamic:
        known = ", ".join(sorted(each.name for each in methods.METHODS.values() if each.dynamic))
        raise UserError(f"--draw {name}: it selects a coreset, give that (dynamic are: {known})")
    options = method.parse_options(identity.pairs(settings, "--set"))
    return Redraw(method, options, rate, rounding, balance)
