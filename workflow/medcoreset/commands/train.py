"""Stage `train`: train a network on coresets, of all seeds in one process."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

import medcoreset.methods as methods
from medcoreset import cost, identity, provenance
from medcoreset.commands import flags
from medcoreset.commands.flags import Number, Stage, job_flags, training_flags
from medcoreset.commands.flags import recipe as recipe_flags
from medcoreset.datasets import canonical
from medcoreset.errors import UserError
from medcoreset.evidence import Evidence
from medcoreset.methods.registry import RESELECT, Balance
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
    help="Method that selects while the network trains, in place of coresets.",
)
@click.option(
    "--evidence",
    type=click.Path(path_type=Path),
    metavar="EVIDENCE",
    help="Evidence that the method of --draw reads and that is made before, a folder or an .npz.",
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
    evidence: Path | None,
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
    if evidence or (redraw and redraw.in_steps):
        redraw = _with_evidence(redraw, evidence, dataset, expects, threads)
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
        before=cost.of_evidence([evidence]) if evidence else None,
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
    options = method.parse_options(identity.pairs(settings, "--set"))
    if not method.selects_anew(options):
        known = ", ".join(sorted(each.name for each in methods.METHODS.values() if each.dynamic))
        again = " or --set reselect=EPOCHS" if RESELECT.name in method.options else ""
        raise UserError(
            f"--draw {name}: it selects a coreset, give that{again} (dynamic are: {known})"
        )
    return Redraw(method, options, rate, rounding, balance)


def _with_evidence(
    redraw: Redraw | None,
    evidence: Path | None,
    dataset: Path,
    expects: tuple[str, ...],
    threads: int,
) -> Redraw:
    """Return what draws, with the evidence that it needs about the samples of the dataset."""
    if redraw is None or not redraw.in_steps:
        raise UserError(f"--evidence {evidence}: it is of a --draw METHOD that looks at such")
    needed = redraw.method.needed(redraw.options)
    if evidence is None:
        raise UserError(f"--draw {redraw.method.name} needs --evidence, of {', '.join(needed)}")
    seal = (
        provenance.read_seal(evidence)
        if evidence.is_dir()
        else {"recipe": "", "dataset_sha256": ""}
    )
    provenance.check_inputs(expects[1:2], (evidence, seal["recipe"]))
    found = Evidence.load(evidence, device="cpu", threads=threads)
    found.require(*needed)
    info = canonical.load_info(dataset)
    samples = len(canonical.load_labels(dataset))
    if len(found) != samples or seal["dataset_sha256"] not in ("", info["sha256"]):
        raise UserError(
            f"--evidence {evidence} is not about the {samples:,} samples of {info['name']}"
        )
    return replace(redraw, evidence=found)
