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
    help="Folder for table.csv, .md, .html, .tex, and the single runs, seeds.csv.",
)
def command(plan_file: str, published: tuple[str, ...], out: Path) -> None:
    """Aggregate the runs of an experiment into a table beside the published numbers."""
    from medcoreset.analysis import aggregate, comparison, tables
    from medcoreset.analysis import published as papers
    from medcoreset.atomic import replacing
    from medcoreset.plan import Plan

    plan = Plan.read(plan_file)
    known = papers.read_published(published, plan.published)
    runs = aggregate.aggregate(plan)
    plan = replace(plan, notes=(*runs.notes, *plan.notes))
    table, seeds = papers.compare(runs.table, plan, known), runs.seeds
    table = comparison.compare(table, seeds, plan.reference)
    below = tables.notes(plan, table, runs.choices, comparison.findings(seeds))
    layouts = {"md": tables.markdown, "html": tables.html, "tex": tables.latex}
    for suffix, render in layouts.items():
        text = render(plan, table, below)
        with replacing(Path(out, f"table.{suffix}")) as temporary:
            temporary.write_text(text, encoding="utf-8")
    if plan.rehearsal:
        table["rehearsal"] = seeds["rehearsal"] = True
    aggregate.write_seeds(seeds, Path(out, "seeds.csv"))
    aggregate.write_table(table, Path(out, "table.csv"))
