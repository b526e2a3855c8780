from pathlib import Path

import click

import medcoreset.methods as methods
from medcoreset import api, cost, identity, provenance
from medcoreset.commands import flags
from medcoreset.evidence import Evidence
from medcoreset.evidence.evidence import Missing
from medcoreset.selection.files import write_scores


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
    # Here, since datasets need libraries that the Python interface does without.
    from medcoreset.datasets import canonical

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
        scores = api.score(method, arrays, **options)
    write_scores(out, scores, method, chosen.scoring(options), info["sha256"], recipe)
    took.write(cost.beside(out))
