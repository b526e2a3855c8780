from pathlib import Path
from typing import get_args

import click

from medcoreset import methods
from medcoreset.datasets import canonical
from medcoreset.evidence import Evidence
from medcoreset.evidence.evidence import Missing
from medcoreset.methods.options import split_settings
from medcoreset.selection.files import write_scores
from medcoreset.selection.select import score


@click.command(name="score")
@click.argument("method")
@click.option(
    "--evidence",
    "folders",
    type=click.Path(path_type=Path),
    multiple=True,
    required=True,
    metavar="DIR",
    help="Folder of evidence (repeatable).",
)
@click.option("--dataset", type=click.Path(path_type=Path), required=True, metavar="DATASET.npz")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="An option.")
@click.option(
    "--missing",
    type=click.Choice(get_args(Missing)),
    default="masked",
    show_default=True,
    help="Leave out epochs that did not see a sample, or score it 0 in them.",
)
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="SCORES.npz")
def command(
    method: str,
    folders: tuple[Path, ...],
    dataset: Path,
    settings: tuple[str, ...],
    missing: Missing,
    out: Path,
) -> None:
    """Score every training sample by METHOD."""
    chosen = methods.get(method)
    options = chosen.parse_options(split_settings(settings))
    info = canonical.load_info(dataset)
    arrays = Evidence.load(*folders, name=info["name"], missing=missing)
    arrays.check_labels(canonical.load_labels(dataset))
    scores = score(chosen, arrays, options)
    write_scores(out, scores, method, chosen.scoring(options), info["sha256"])
