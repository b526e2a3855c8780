import click

from medcoreset.commands import flags
from medcoreset.methods import listing

FORMATS = {"text": listing.as_text, "markdown": listing.as_markdown}


@click.command(name="methods", cls=flags.Stage)
@click.option(
    "--format",
    "layout",
    type=click.Choice(list(FORMATS)),
    default="text",
    show_default=True,
    help="Paragraphs, or a Markdown table.",
)
def command(layout: str) -> None:
    """List the methods: the evidence each needs, its options with their defaults, its reference."""
    click.echo(FORMATS[layout]())
