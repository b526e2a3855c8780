"""Stage `published`: the papers' tables as they print them, in our layouts, without any run."""

from pathlib import Path

import click

from medcoreset.commands import flags


@click.command("published", cls=flags.Stage)
@click.argument("tables", nargs=-1, required=True)
@click.option(
    "--published",
    type=click.Path(),
    multiple=True,
    required=True,
    help="CSV of published numbers; may be repeated.",
)
@click.option(
    "--out",
    type=flags.Output(folder=True),
    required=True,
    help="Folder that gets one of each table: table.csv, .md, .html, .tex, and plan.json and seeds.csv for figures.",
)
def command(tables: tuple[str, ...], published: tuple[str, ...], out: Path) -> None:
    """Lay out the published TABLES as the tables of experiments are."""
    import pandas as pd

    from medcoreset.analysis import aggregate, printed
    from medcoreset.analysis import tables as layouts
    from medcoreset.atomic import replacing, write_json

    for name in tables:
        read = printed.read(published, name)
        for suffix, render in (
            ("md", layouts.markdown),
            ("html", layouts.html),
            ("tex", layouts.latex),
        ):
            text = render(read.plan, read.table, read.notes, read.decimals)
            with replacing(Path(out, name, f"table.{suffix}")) as temporary:
                temporary.write_text(text, encoding="utf-8")
        aggregate.write_table(read.table, Path(out, name, "table.csv"))
        # No single runs are known.
        nothing = pd.DataFrame(columns=aggregate.SEEDS)
        aggregate.write_seeds(nothing, Path(out, name, "seeds.csv"))
        write_json(Path(out, name, "plan.json"), read.plan.to_json())
