"""Stage `dataset`: a source of images becomes a canonical file."""

import click

from medcoreset.datasets import canonical, sources
from medcoreset.datasets.download import DEFAULT_CACHE


@click.command()
@click.argument("name")
@click.option("--out", required=True, type=click.Path(), help="Canonical .npz; .json goes beside.")
@click.option("--data-dir", type=click.Path(), help="Folder with the source's official files.")
@click.option("--mirror", help="Base address to download from in place of the official one.")
@click.option(
    "--cache",
    default=DEFAULT_CACHE,
    show_default=True,
    type=click.Path(),
    help="Folder where downloads are kept.",
)
@click.option("--file", type=click.Path(), help="Your own .npz in MedMNIST's layout, to be NAME.")
def command(
    name: str, out: str, data_dir: str | None, mirror: str | None, cache: str, file: str | None
) -> None:
    """Bring the dataset NAME into the canonical form.

    NAME is a public dataset (digits, organsmnist, organsmnist_64 …) with options (+train=600), or
    any other name for your own data.
    """
    if file is not None:
        dataset = sources.read_own(name, file)
    else:
        dataset = sources.read(name, data_dir=data_dir, mirror=mirror, cache=cache)
    canonical.write(dataset, out)
