"""Stage `evidence`: what some methods need beyond what a surrogate's training leaves behind."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np

from medcoreset import cost, producers, provenance
from medcoreset.atomic import replacing
from medcoreset.commands import flags
from medcoreset.datasets import canonical
from medcoreset.options import Option, parse_all
from medcoreset.producers.source import Source


class Kinds(click.Group):
    """The arrays that can be computed, a command each: kinds and options are the registry's."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the arrays."""
        return sorted(producers.PRODUCERS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        """Return the command that computes one; UserError if there is none of that name."""
        return _command(producers.get(cmd_name))


@click.command(name="evidence", cls=Kinds)
def command() -> None:
    """Compute an array of evidence, a .npy file, from trained surrogates."""


def _command(producer: producers.Producer) -> click.Command:
    @click.command(name=producer.name, help=producer.summary, cls=flags.Stage)
    @flags.dataset
    @click.option(
        "--surrogate",
        "surrogates",
        type=click.Path(path_type=Path),
        multiple=True,
        required=True,
        metavar="DIR",
        help="Folder of a trained surrogate" + (" (repeatable)." if producer.of_several else "."),
    )
    @click.option("--out", type=flags.Output(), required=True, metavar="FILE.npy")
    @flags.device
    @flags.threads
    @flags.recipe
    def compute(
        dataset: Path,
        surrogates: tuple[Path, ...],
        out: Path,
        device: str,
        threads: int,
        recipe: str,
        expects: tuple[str, ...],
        **given: Any,
    ) -> None:
        options = parse_all(producer.name, producer.options, given)
        data = canonical.load(dataset)
        sealed = ((each, provenance.read_seal(each / "evidence")["recipe"]) for each in surrogates)
        provenance.check_inputs(expects, (dataset, data.info["recipe"]), *sealed)
        took = cost.of_surrogates(surrogates)
        with took.adding("evidence", threads=threads):
            sources = [Source(folder, data, device, threads) for folder in surrogates]
            values = producer.produce(sources, **options)
        took.write(out.parent / cost.FILE)
        with replacing(out) as temporary:
            np.save(temporary, values, allow_pickle=False)
        provenance.seal(out.parent, [out.name], recipe, data.sha256)

    made: click.Command = compute
    for option in reversed(producer.options.values()):
        made = _flag(option)(made)
    return made


def _flag(option: Option) -> Callable[[click.Command], click.Command]:
    """Return the decorator that adds an option as a flag; it arrives as text, as `--set` does."""
    return click.option(
        f"--{option.name.replace('_', '-')}",
        option.name,
        type=str,
        default="none" if option.default is None else str(option.default),
        show_default=True,
        metavar=option.allowed,
        help=option.help,
    )
