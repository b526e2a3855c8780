"""Stage `table`: the runs of an experiment as a table beside the published numbers."""

from pathlib import Path

import click

from medcoreset.commands import flags


@click.command("table", cls=flags.Stage)
@click.option("--spec", type=click.Path(), required=True, help="The experiment, resolved (JSON).")
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
def command(spec: str, published: tuple[str, ...], out: Path) -> None:
    """Aggregate the runs of an experiment into a table beside the published numbers."""
    from medcoreset.analysis import aggregate, comparison, experiment, tables
    from medcoreset.analysis import published as papers
    from medcoreset.atomic import replacing

    study = experiment.load(spec)
    known = papers.read_published(published, study.published)
    values, seeds, choices = aggregate.aggregate(study)
    table = comparison.compare(papers.compare(values, study, known), seeds, study.reference)
    found = comparison.findings(seeds)
    layouts = {"md": tables.markdown, "html": tables.html, "tex": tables.latex}
    for suffix, render in layouts.items():
        text = render(study, table, choices, found)
        with replacing(Path(out, f"table.{suffix}")) as temporary:
            temporary.write_text(text, encoding="utf-8")
    if study.rehearsal:
        table["rehearsal"] = seeds["rehearsal"] = True
    aggregate.write_seeds(seeds, Path(out, "seeds.csv"))
    aggregate.write_table(table, Path(out, "table.csv"))
