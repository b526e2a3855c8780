"""Stage `figure`: one figure of an experiment, as .svg, .pdf and .png, and its numbers as .csv."""

from typing import Any

import click

from medcoreset.atomic import check_output
from medcoreset.commands import flags
from medcoreset.errors import UserError
from medcoreset.figures import FIGURES


@click.command("figure", cls=flags.Stage)
@click.argument("kind", type=click.Choice(list(FIGURES)))
@click.option(
    "--plan", "plan_file", type=click.Path(), required=True, help="The experiment's plan (JSON)."
)
@click.option(
    "--table",
    "table_file",
    type=click.Path(),
    help="The experiment's table.csv, for figures of accuracies.",
)
@click.option(
    "--seeds",
    "seeds_file",
    type=click.Path(),
    help="The experiment's seeds.csv, for the same figures.",
)
@click.option(
    "--out", type=click.Path(), required=True, help="Path of the files without their suffix."
)
def command(
    kind: str, plan_file: str, table_file: str | None, seeds_file: str | None, out: str
) -> None:
    """Draw the figure KIND of an experiment."""
    import importlib

    for suffix in (".svg", ".pdf", ".png", ".csv"):
        check_output(f"{out}{suffix}")
    from medcoreset.analysis import aggregate
    from medcoreset.figures import style
    from medcoreset.plan import Plan

    plan = Plan.read(plan_file)
    arguments: list[Any] = [plan]
    if "table" in FIGURES[kind]:
        if not (table_file and seeds_file):
            raise UserError(f"figure {kind} needs --table and --seeds")
        seeds = aggregate.read_seeds(seeds_file)
        arguments.append(aggregate.with_seeds(aggregate.read_table(table_file), seeds))
    module = importlib.import_module(f"medcoreset.figures.{kind}")
    if "numbers" in FIGURES[kind]:
        arguments.append(module.numbers(plan))
    with style.context():
        figure = module.draw(*arguments)
        if plan.rehearsal:
            style.mark_rehearsal(figure)
        style.save(figure, out)
    if "numbers" in FIGURES[kind]:
        aggregate.write_numbers(arguments[-1], f"{out}.csv", rehearsal=plan.rehearsal)
