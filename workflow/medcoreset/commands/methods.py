from pathlib import Path

import click

from medcoreset.atomic import replacing
from medcoreset.commands import flags
from medcoreset.methods import listing
from medcoreset.reading import read_text

FORMATS = {"text": listing.as_text, "markdown": listing.as_markdown}


@click.command(name="methods", cls=flags.Stage)
@click.option("--format", "layout", type=click.Choice(list(FORMATS)), default="text")
@click.option(
    "--into",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Markdown document whose table, between two markers, is brought up to date.",
)
def command(layout: str, into: Path | None) -> None:
    """List the methods: the evidence each needs, its options with their defaults, its reference."""
    if into is None:
        click.echo(FORMATS[layout]())
        return
    text = listing.in_document(read_text(into, "a Markdown document"))
    with replacing(into) as temporary:
        temporary.write_text(text, encoding="utf-8")
