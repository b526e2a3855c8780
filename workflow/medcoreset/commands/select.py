from pathlib import Path

import click

import medcoreset.methods as methods
from medcoreset import api, identity
from medcoreset.commands import flags
from medcoreset.errors import UserError
from medcoreset.evidence import Evidence
from medcoreset.evidence.evidence import Missing
from medcoreset.methods.registry import Balance
from medcoreset.selection.listing import check_list, write_list


@click.command(name="select", cls=flags.Stage)
@click.argument("method")
@click.argument("evidence", type=click.Path(path_type=Path))
@click.option("--rate", type=float, help="Selection rate, above 0 and at most 1.")
@click.option("--count", type=int, help="Number of samples to select, in place of --rate.")
@flags.balance
@click.option("--seed", type=flags.SEED, default=0, show_default=True)
@flags.settings
@flags.missing
@flags.device
@flags.threads
@flags.listed
@click.option("--out", type=flags.Output(), required=True, metavar="SELECTION.npz")
def command(
    method: str,
    evidence: Path,
    rate: float | None,
    count: int | None,
    balance: Balance | None,
    seed: int,
    settings: tuple[str, ...],
    missing: Missing,
    device: str,
    threads: int,
    listed: Path | None,
    out: Path,
) -> None:
    """Select a coreset by METHOD from the arrays in EVIDENCE, an .npz file or a folder of .npy."""
    options = methods.parse_options(method, identity.pairs(settings, "--set"))
    check_list(listed, 1)
    if (rate is None) == (count is None):
        raise UserError("give either --rate or --count")
    arrays = Evidence.load(evidence, missing=missing, device=device, threads=threads)
    found = api.select(
        method, arrays, rate=rate, count=count, balance=balance, seed=seed, **options
    )
    found.save(out)
    if listed:
        write_list(listed, {seed: found})
