"""Stage `dataset`: a source of images becomes a canonical file."""

from pathlib import Path
from typing import Any

import click

from medcoreset.commands import flags
from medcoreset.datasets import canonical, duplicates, sources
from medcoreset.datasets.download import DEFAULT_CACHE
from medcoreset.datasets.summary import summary
from medcoreset.errors import UserError
from medcoreset.provenance import check_inputs


@click.command(cls=flags.Stage)
@click.argument("name")
@click.option(
    "--out",
    required=True,
    type=flags.Output(),
    help="Dataset file to write (.npz); its facts are written beside it (.json).",
)
@click.option(
    "--data-dir", type=click.Path(), help="Folder of official files, used in place of a download."
)
@click.option("--mirror", help="Base URL to download from, in place of the official one.")
@click.option(
    "--cache",
    default=DEFAULT_CACHE,
    show_default=True,
    type=click.Path(),
    help="Folder that keeps downloaded files.",
)
@click.option("--file", type=click.Path(), help="Your own data: an .npz in MedMNIST's layout.")
@click.option("--folder", type=click.Path(), help="Your own data: a folder of images.")
@click.option(
    "--image-size",
    type=click.IntRange(1, 4096),
    help="Height and width in pixels that a folder's images are scaled to.",
)
@click.option(
    "--stream",
    is_flag=True,
    help="Leave a folder's images on disk, and decode them while training.",
)
@click.option("--multilabel", is_flag=True, help="Your own .npz has several labels per image.")
@click.option(
    "--duplicates",
    "policy",
    type=click.Choice(duplicates.POLICIES),
    help="Your own images that occur more than once: count and report them (keep, the default), "
    "refuse them, or leave them out, of train first (drop).",
)
@click.option(
    "--contents",
    type=click.Path(),
    metavar="FILE",
    help="File that keeps the digests of a streamed folder's files, so that they are read once.",
)
@click.option(
    "--clean",
    type=click.Path(),
    help="Dataset file of NAME without its conditions (+noise=0.2 …), to which they are applied.",
)
@flags.recipe
@click.option(
    "--stand-in",
    type=click.IntRange(1, 10**7),
    metavar="SAMPLES",
    help="Make a small stand-in of digits, with NAME's classes and splits, for a rehearsal.",
)
def command(
    name: str,
    out: Path,
    data_dir: str | None,
    mirror: str | None,
    cache: str,
    file: str | None,
    folder: str | None,
    image_size: int | None,
    multilabel: bool,
    stream: bool,
    policy: duplicates.Policy | None,
    contents: str | None,
    clean: str | None,
    stand_in: int | None,
    recipe: str,
    expects: tuple[str, ...],
) -> None:
    """Bring the dataset NAME into the canonical form.

    NAME is a public dataset (digits, organsmnist, organsmnist_64, cifar10 …) or any other name for
    your own data, with options: +train=600 trains on a stratified subset, +val=0.2 holds out
    another share of the training set than 10 % where there is no validation set, +noise=0.2 makes a
    fifth of the training labels wrong, +imbalance=0.01 gives the classes a long tail, +duplicates=0.1
    has a tenth of the training images give way to copies. What was read, and what was not, is said
    in one line.
    """
    if clean is not None and any((file, folder, data_dir, mirror, stand_in)):
        raise UserError("--clean is all that NAME is made from: give no other source beside it")
    if file is not None and folder is not None:
        raise UserError("--file and --folder: give one of them")
    if folder is None and (stream or image_size is not None):
        raise UserError("--image-size and --stream are for a --folder")
    if multilabel and file is None:
        raise UserError("--multilabel is for a --file")
    if policy is not None and file is None and folder is None:
        raise UserError("--duplicates is for your own data: --file or --folder")
    if folder is not None and image_size is None:
        raise UserError("--folder needs --image-size")
    own: dict[str, Any]
    if clean is not None:
        dataset = sources.read_changed(name, clean)
        check_inputs(expects, (clean, dataset.info["recipe"]))
    elif stand_in is not None:
        own = {"file": file, "root": folder, "image_size": image_size, "stream": stream}
        own["multilabel"] = multilabel
        dataset = sources.read_stand_in(name, stand_in, out.with_suffix(""), **own)
    elif file is not None:
        dataset = sources.read_own(name, file, policy=policy or "keep", multilabel=multilabel)
    elif folder is not None:
        own = {"image_size": image_size, "stream": stream, "contents": contents}
        dataset = sources.read_own_folder(name, folder, policy=policy or "keep", **own)
    else:
        dataset = sources.read(name, data_dir=data_dir, mirror=mirror, cache=cache)
    dataset.info["recipe"] = recipe
    canonical.write(dataset, out)
    click.echo(summary(dataset))
