from pathlib import Path

import click
import numpy as np

import medcoreset.methods as methods
from medcoreset import identity, provenance
from medcoreset.commands import flags
from medcoreset.datasets import canonical
from medcoreset.errors import UserError
from medcoreset.evidence import Evidence
from medcoreset.evidence.evidence import Missing
from medcoreset.selection.files import write_windows
from medcoreset.selection.windows import grid, score_pairs, window_pairs

GRID = ("early", "late", "length", "windows")


@click.command(name="windows", cls=flags.Stage)
@click.option("--evidence", type=click.Path(path_type=Path), required=True, metavar="DIR")
@flags.dataset
@click.option("--length", type=click.IntRange(min=1), default=10, show_default=True)
@click.option("--step", type=click.IntRange(min=1), default=10, show_default=True)
@click.option("--starts", metavar="1,90,100,…", help="Starts of the windows, in place of the grid.")
@flags.settings
@flags.missing
@flags.recipe
@click.option("--out", type=flags.Output(), required=True, metavar="WINDOWS.npz")
def command(
    evidence: Path,
    dataset: Path,
    length: int,
    step: int,
    starts: str | None,
    settings: tuple[str, ...],
    missing: Missing,
    recipe: str,
    expects: tuple[str, ...],
    out: Path,
) -> None:
    """Score every pair of EVA's windows that start at epochs 1, 1 + step, 1 + 2·step, …"""
    given = identity.pairs(settings, "--set")
    for name in GRID:
        if name in given:
            raise UserError(f"--set {name}: the windows are given by --starts, --length and --step")
    options = methods.parse_options("eva", given | {"length": length})
    info = canonical.load_info(dataset)
    sealed = (evidence, provenance.read_seal(evidence)["recipe"])
    provenance.check_inputs(expects, (dataset, info["recipe"]), sealed)
    arrays = Evidence.load(evidence, name=info["name"], missing=missing)
    arrays.check_labels(canonical.load_labels(dataset))
    first = grid(arrays.epochs, length, step) if starts is None else _integers(starts)
    pairs = window_pairs(first, length, arrays.epochs)
    rows = score_pairs(arrays, pairs, options)
    shared = {name: value for name, value in options.items() if name not in ("early", "late")}
    write_windows(out, np.array(pairs, np.int64), rows, len(arrays), shared, info["sha256"], recipe)


def _integers(text: str) -> list[int]:
    try:
        return [int(number) for number in text.split(",")]
    except ValueError:
        raise UserError(f"--starts {text}: expected integers, separated by commas") from None
