from pathlib import Path

import click

from medcoreset.commands import flags
from medcoreset.selection.listing import materialize
from medcoreset.selection.selection import load_coreset


@click.command(name="materialize", cls=flags.Stage)
@click.argument("coreset", type=click.Path(path_type=Path), metavar="CORESET.npz")
@click.option("--copy", is_flag=True, help="Copy the files in place of linking to them.")
@click.option("--out", type=flags.Output(folder=True), required=True, metavar="FOLDER")
def command(coreset: Path, copy: bool, out: Path) -> None:
    """Make a folder of the image files of a coreset that was selected from a folder of images."""
    count = materialize(load_coreset(coreset), out, copy=copy)
    click.echo(f"{out} has {count:,} files")
