from pathlib import Path

import click

from medcoreset.atomic import replacing
from medcoreset.commands import flags
from medcoreset.errors import UserError
from medcoreset.reading import read_text


@click.command(name="reference", cls=flags.Stage)
@click.argument("name", required=False, metavar="[TABLE]")
@click.option(
    "--into",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Markdown document whose marked tables are brought up to date.",
)
def command(name: str | None, into: Path | None) -> None:
    """Print a reference table as Markdown, bring those of a document up to date, or list the tables."""
    from medcoreset.study import reference

    if name and into:
        raise UserError("give either TABLE or --into")
    if into is None:
        click.echo(reference.table(name) if name else "\n".join(reference.TABLES))
        return
    text = reference.in_document(read_text(into, "a Markdown document"))
    with replacing(into) as temporary:
        temporary.write_text(text, encoding="utf-8")
