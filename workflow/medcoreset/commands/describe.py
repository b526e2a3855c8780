"""Stage `describe`: an experiment's file becomes its resolved plan."""

from pathlib import Path

import click

from medcoreset.atomic import write_json
from medcoreset.errors import UserError
from medcoreset.study import configuration, rehearsal
from medcoreset.study.recipes import Recipes
from medcoreset.study.specification import specification


@click.command()
@click.argument("name")
@click.option(
    "--studies", multiple=True, help="Further folder with experiments/ and protocols/ (repeatable)."
)
@click.option("--own", multiple=True, help="Name of an own dataset (repeatable).")
@click.option("--rehearse", is_flag=True, help="The experiment in small, below rehearsal/.")
@click.option("--out", required=True, type=click.Path(), help="Plan (.json) to write.")
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
    write_json(out, specification(Recipes(study), study.experiments[name]))
    # A plan that was made before has another name and is no plan any more.
    for earlier in Path(out).parent.glob("plan.*.json"):
        if earlier.name != Path(out).name:
            earlier.unlink()
