"""Stage `decode`: images that stay in their files are decoded once, for all trainings."""

from pathlib import Path

import click

from medcoreset.commands import flags
from medcoreset.datasets import canonical, decoding
from medcoreset.errors import UserError
from medcoreset.provenance import check_inputs


@click.command(cls=flags.Stage)
@flags.dataset
@click.option(
    "--threads",
    type=click.IntRange(1, 1024),
    default=1,
    show_default=True,
    help="Processes that decode.",
)
@click.option(
    "--expects",
    multiple=True,
    metavar="SHA256",
    help="The --recipe that DATASET must have.",
)
def command(dataset: Path, threads: int, expects: tuple[str, ...]) -> None:
    """Decode the images of a dataset NAME+stream=decoded into the folder of its name beside it.

    What an earlier call, stopped by anything, has decoded is kept.
    """
    data = canonical.load(dataset, files=True)
    check_inputs(expects, (dataset, data.info["recipe"]))
    if not data.info.get("decoded"):
        raise UserError(
            f"{dataset} is not to be decoded: make it as {data.name}+stream=decoded, of images that "
            "stay in their files"
        )
    splits = data.streamed_images()
    folder = canonical.decoded_path(dataset)
    count = decoding.decode(splits, folder, data.sha256, processes=threads)
    click.echo(f"{data.name}: {count:,} images decoded into {folder}")
