"""Stage `speed`: how fast a network trains on this machine, for a forecast."""

from pathlib import Path

import click

from medcoreset.atomic import write_json
from medcoreset.commands import flags
from medcoreset.training.options import TrainingOptions


@click.command(name="speed", cls=flags.Stage)
@click.option("--network", required=True, help="Network id, such as resnet18+width=8.")
@click.option(
    "--channels", type=click.Choice(["1", "3"]), required=True, help="Channels of the images."
)
@click.option(
    "--image-size",
    type=click.IntRange(1, 4096),
    required=True,
    help="Height and width of the images in pixels.",
)
@click.option("--precision", default="auto", show_default=True, help="Arithmetic of the training.")
@flags.device
@flags.threads
@click.option("--out", type=flags.Output(), required=True, metavar="SPEED.json")
def command(
    network: str,
    channels: str,
    image_size: int,
    precision: str,
    device: str,
    threads: int,
    out: Path,
) -> None:
    """Measure a few training steps of NETWORK on images made up for it."""
    options = TrainingOptions(precision=precision, channels=0)
    from medcoreset.device import resolve
    from medcoreset.training.speed import measure

    place = resolve(device, threads)
    size = {"channels": int(channels), "image_size": image_size}
    write_json(out, measure(network, **size, options=options, place=place))
