"""Stage `table`: the runs of an experiment as a table beside the published numbers."""

from dataclasses import replace
from pathlib import Path

import click

from medcoreset.commands import flags


@click.command("table", cls=flags.Stage)
@click.option(
    "--plan", "plan_file", type=click.Path(), required=True, help="The experiment's plan (JSON)."
)
@click.option(
    "--published",
    type=click.Path(),
    multiple=True,
    help="CSV of published numbers; may be repeated.",
)
@click.option(
    "--out",
    type=flags.Output(folder=True),
    required=True,
    help="Folder for table.csv, .md, .html and .tex.",
)
def command(plan_file: str, published: tuple[str, ...], out: Path) -> None:
    """Aggregate the runs of an experiment into a table beside the published numbers."""
    from medcoreset.analysis import aggregate, tables
    from medcoreset.analysis import published as papers
    from medcoreset.atomic import replacing
    from medcoreset.plan import Plan

    plan = Plan.read(plan_file)
    known = papers.read_published(published, plan.published)
    values, choices = aggregate.aggregate(plan)
    plan = replace(plan, notes=(*aggregate.arithmetic_notes(plan), *plan.notes))
    table = papers.compare(values, plan, known)
    layouts = {"md": tables.markdown, "html": tables.html, "tex": tables.latex}
    for suffix, render in layouts.items():
        text = render(plan, table, choices)
        with replacing(Path(out, f"table.{suffix}")) as temporary:
            temporary.write_text(text, encoding="utf-8")
    if plan.rehearsal:
        table["rehearsal"] = True
    aggregate.write_table(table, Path(out, "table.csv"))
