from pathlib import Path

import click

import medcoreset.methods as methods
from medcoreset import cost, identity, provenance
from medcoreset.commands import flags
from medcoreset.datasets import canonical
from medcoreset.errors import UserError
from medcoreset.evidence import Evidence
from medcoreset.evidence.evidence import Missing
from medcoreset.methods.registry import Balance
from medcoreset.seeding import parse_seeds
from medcoreset.selection.budget import Rounding, sized
from medcoreset.selection.files import check_coresets, read_scores, write_coresets
from medcoreset.selection.listing import check_list, write_list
from medcoreset.selection.select import check_scores, select
from medcoreset.selection.selection import led_back


@click.command(name="coreset", cls=flags.Stage)
@click.argument("method")
@flags.dataset
@click.option("--evidence", type=click.Path(path_type=Path), metavar="DIR")
@click.option("--scores", type=click.Path(path_type=Path), metavar="SCORES.npz")
@click.option("--rate", type=float, required=True, help="Selection rate, above 0 and at most 1.")
@click.option("--seeds", required=True, metavar="0,1,2", help="Seeds, one coreset for each.")
@flags.rounding
@flags.balance
@flags.settings
@flags.missing
@flags.device
@flags.threads
@flags.recipe
@flags.listed
@click.option("--out", type=flags.Output(folder=True), required=True, metavar="DIR")
def command(
    method: str,
    dataset: Path,
    evidence: Path | None,
    scores: Path | None,
    rate: float,
    seeds: str,
    rounding: Rounding,
    balance: Balance | None,
    settings: tuple[str, ...],
    missing: Missing,
    device: str,
    threads: int,
    recipe: str,
    expects: tuple[str, ...],
    listed: Path | None,
    out: Path,
) -> None:
    """Select the coresets of METHOD at one rate, from its scores or from evidence: DIR/seedS.npz."""
    numbers = parse_seeds(seeds)
    check_coresets(out)
    check_list(listed, len(numbers))
    chosen = methods.get(method)
    options = chosen.parse_options(identity.pairs(settings, "--set"))
    info = canonical.load_info(dataset)
    provenance.check_inputs(expects, (dataset, info["recipe"]))
    labels = canonical.load_labels(dataset)
    if evidence is None:
        arrays = Evidence({"labels": labels}, name=info["name"])
    else:
        arrays = Evidence.load(
            evidence, name=info["name"], missing=missing, device=device, threads=threads
        )
        provenance.check_inputs(expects[1:2], (evidence, provenance.read_seal(evidence)["recipe"]))
        arrays.check_labels(labels)
    given = None
    if scores is not None:
        if not chosen.ranks:
            raise UserError(f"--scores {scores}: {method} does not use scores")
        # The last: after that of the evidence, if there is both.
        made_from = {"dataset": info["sha256"], "recipe": "".join(expects[1:][-1:])}
        scoring = chosen.scoring(options)
        given = read_scores(scores, method, scoring, samples=len(labels), **made_from)
        check_scores(chosen, given, info["name"])
    size = sized(rate, labels, rounding, balance or chosen.balance)
    took = cost.of_evidence([evidence] if evidence else [])
    if scores is not None:
        took = cost.of_scores(scores)
    with took.adding("selection", threads=threads, shares=len(numbers)):
        coresets = {
            seed: select(
                chosen, arrays, size, balance=balance, seed=seed, options=options, scores=given
            )
            for seed in numbers
        }
    origin = canonical.load_source(dataset)
    coresets = {seed: led_back(found, *origin) for seed, found in coresets.items()}
    if listed:
        write_list(listed, coresets)
    write_coresets(out, coresets, info["sha256"], recipe, took)
