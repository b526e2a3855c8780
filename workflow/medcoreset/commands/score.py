from pathlib import Path

import click

from medcoreset import cost, identity, methods, provenance
from medcoreset.commands import flags
from medcoreset.datasets import canonical
from medcoreset.evidence import Evidence
from medcoreset.evidence.evidence import Missing
from medcoreset.selection.files import write_scores
from medcoreset.selection.select import score


@click.command(name="score", cls=flags.Stage)
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
@flags.dataset
@flags.settings
@flags.missing
@flags.device
@flags.threads
@flags.recipe
@click.option("--out", type=flags.Output(), required=True, metavar="SCORES.npz")
def command(
    method: str,
    folders: tuple[Path, ...],
    dataset: Path,
    settings: tuple[str, ...],
    missing: Missing,
    device: str,
    threads: int,
    recipe: str,
    expects: tuple[str, ...],
    out: Path,
) -> None:
    """Score every training sample by METHOD."""
    chosen = methods.get(method)
    options = chosen.parse_options(identity.pairs(settings, "--set"))
    info = canonical.load_info(dataset)
    sealed = ((folder, provenance.read_seal(folder)["recipe"]) for folder in folders)
    provenance.check_inputs(expects, (dataset, info["recipe"]), *sealed)
    took = cost.of_evidence(folders)
    with took.adding("score", threads=threads):
        arrays = Evidence.load(
            *folders, name=info["name"], missing=missing, device=device, threads=threads
        )
        arrays.check_labels(canonical.load_labels(dataset))
        scores = score(chosen, arrays, options)
    write_scores(out, scores, method, chosen.scoring(options), info["sha256"], recipe)
    took.write(cost.beside(out))
