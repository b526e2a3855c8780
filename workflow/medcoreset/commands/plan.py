"""Stage `plan`: an experiment becomes the plan of its table and figures."""

from pathlib import Path
from typing import Any

import click

from medcoreset.atomic import write_json
from medcoreset.commands import flags
from medcoreset.errors import UserError
from medcoreset.study import configuration, planning, rehearsal
from medcoreset.study.recipes import Recipes


@click.command("plan", cls=flags.Stage)
@click.argument("name")
@flags.configured
@click.option("--out", required=True, type=flags.Output(), help="Plan (.json) to write.")
def command(name: str, config: dict[str, Any], out: str) -> None:
    """Plan the experiment NAME: the rows, columns and files of its table and figures."""
    study = configuration.load(config)
    if study.config["rehearse"]:
        study = rehearsal.of(study)
    if name not in study.experiments:
        known = ", ".join(sorted(study.experiments))
        raise UserError(f"unknown experiment {name!r} (known: {known})")
    write_json(out, planning.of(Recipes(study), study.experiments[name]).to_json())
    # A plan that was made before has another name and is no plan any more.
    for earlier in Path(out).parent.glob("plan.*.json"):
        if earlier.name != Path(out).name:
            earlier.unlink()
