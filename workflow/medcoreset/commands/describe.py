"""Stage `describe`: an experiment's file becomes its resolved plan."""

import click

from medcoreset.atomic import write_json
from medcoreset.commands import flags
from medcoreset.errors import UserError
from medcoreset.study import configuration, plan, rehearsal


@click.command(cls=flags.Stage)
@click.argument("name")
@click.option(
    "--studies", multiple=True, help="Further folder with experiments/ and protocols/ (repeatable)."
)
@click.option("--own", multiple=True, help="Name of an own dataset (repeatable).")
@click.option("--rehearse", is_flag=True, help="The experiment in small, below rehearsal/.")
@click.option("--out", required=True, type=flags.Output(), help="Plan (.json) to write.")
def command(
    name: str, studies: tuple[str, ...], own: tuple[str, ...], rehearse: bool, out: str
) -> None:
    """Resolve the experiment NAME: the rows, columns and files of its table and figures."""
    datasets = {each: {"path": ".npz"} for each in own}
    study = configuration.load({"studies": list(studies), "datasets": datasets})
    if rehearse:
        study = rehearsal.of(study)
    if name not in study.experiments:
        known = ", ".join(sorted(study.experiments))
        raise UserError(f"unknown experiment {name!r} (known: {known})")
    write_json(out, plan.specification(study, study.experiments[name]))
