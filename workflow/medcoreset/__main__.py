"""Command line: `python -m medcoreset STAGE …`, one module of `commands/` per stage."""

import importlib
import sys
from io import TextIOWrapper

import click

from medcoreset import __version__, forkserver
from medcoreset.errors import UserError, say, storage_error

STAGES = {
    "dataset": "bring a dataset into the canonical form",
    "decode": "decode the images of a streamed dataset once, for all trainings",
    "surrogate": "train a surrogate on the full training set and dump its training dynamics",
    "evidence": "compute gradient norms or adversarial perturbations from trained surrogates",
    "score": "score every training sample by a method",
    "windows": "score every pair of EVA's windows in one pass",
    "coreset": "pick the coresets of one method and rate, one per seed",
    "train": "train a network on coresets, one run per seed",
    "speed": "measure how fast a network trains on this machine",
    "plan": "plan an experiment's table and figures: rows, columns and files",
    "table": "aggregate the runs of an experiment into a table beside the published numbers",
    "figure": "draw a figure of an experiment",
    "published": "lay out the papers' tables as they print them",
    "claims": "judge what papers claim, on their printed numbers and on runs",
    "select": "bring your own evidence: select a coreset from arrays of any framework",
    "materialize": "make a folder of the image files of a coreset",
    "methods": "list the methods, their evidence and their options",
    "reference": "print what can be configured: keys, options, networks, datasets, figures, rules",
}


class Stages(click.Group):
    """A group that imports a stage's module only when that stage runs, since torch is slow to."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the stages in the order in which the data flows."""
        return list(STAGES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one stage."""
        if cmd_name not in STAGES:
            return None
        return importlib.import_module(f"medcoreset.commands.{cmd_name}").command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the stages without importing them."""
        with formatter.section("Stages"):
            formatter.write_dl(list(STAGES.items()))


@click.command(cls=Stages, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def cli() -> None:
    """Coreset selection, from images to tables and figures."""


def main() -> None:
    """Run the command line; a user's mistake is one line on standard error and exit status 2.

    So is a full disk, or a folder that may not be written.
    """
    forkserver.delegate()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A terminal may lack a letter of a name or of a method.
            stream.reconfigure(errors="replace")
    try:
        cli.main(prog_name="medcoreset", standalone_mode=False)
    except (UserError, click.UsageError) as mistake:
        _leave(mistake.format_message() if isinstance(mistake, click.UsageError) else mistake)
    except MemoryError:
        _leave("not enough memory; ask for fewer, or smaller, images at a time")
    except click.Abort:
        sys.exit(130)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except Exception as problem:
        told = storage_error(problem)
        if told is None:
            raise
        _leave(told)


def _leave(mistake: UserError | str) -> None:
    say(" ".join(str(mistake).split()))
    sys.exit(2)


if __name__ == "__main__":
    main()
