"""Command-line flags that several stages share."""

import dataclasses
import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import click

from medcoreset.atomic import check_output
from medcoreset.errors import UserError
from medcoreset.evidence.evidence import Missing
from medcoreset.methods.registry import Balance
from medcoreset.options import Device
from medcoreset.seeding import LARGEST
from medcoreset.selection.budget import Rounding
from medcoreset.training.options import TrainingOptions, type_of

Command = Callable[..., None]


class Output(click.Path):
    """A file, or a folder, to make: no device, and nothing of another kind, is replaced by it."""

    def __init__(self, *, folder: bool = False):
        super().__init__(path_type=Path)
        self.folder = folder

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Return the path; raises UserError if something else lies there."""
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        check_output(path, folder=self.folder)
        return path


class Number(click.FloatRange):
    """A number that is finite, within limits if there are any."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number; a usage error for one that is none."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number", param, ctx)
        return number


class Stage(click.Command):
    """A stage of the command line, whose outputs are none of its inputs."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the stage; raises UserError for an output that is an input."""
        paths = [param for param in self.params if isinstance(param.type, click.Path)]
        outputs = [param for param in paths if isinstance(param.type, Output)]
        for output in outputs:
            made = ctx.params[output.name]
            for param in paths if made is not None else ():
                given = ctx.params[param.name] if param not in outputs else None
                for path in given if isinstance(given, tuple) else [given]:
                    if path is not None and _overwrites(Path(made), Path(path)):
                        named = "/".join(param.opts)
                        raise UserError(
                            f"{output.opts[0]} {made} is of {named} {path}: choose another"
                        )
        return super().invoke(ctx)


def _overwrites(made: Path, given: Path) -> bool:
    """Say whether writing one path would change what another holds."""
    places = Path(os.path.realpath(made)), Path(os.path.realpath(given))
    # As os.path has it: a name that no file can have is that of none.
    if os.path.isfile(made) and os.path.isdir(given):
        return places[0].is_relative_to(places[1])
    return places[0] == places[1]


SEED = click.IntRange(min=0, max=LARGEST)

dataset = click.option(
    "--dataset", type=click.Path(path_type=Path), required=True, metavar="DATASET.npz"
)
settings = click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="An option of the method."
)
balance = click.option(
    "--balance",
    type=click.Choice(get_args(Balance)),
    help="One budget for all samples (global), one per class in proportion to its size (class), or larger ones "
    "for classes of low recall on validation data (drop); the default is the method's.",
)
listed = click.option(
    "--list",
    "listed",
    type=Output(),
    metavar="FILE.txt|.csv",
    help="Write which samples these are as well: file names or identifiers, where they are known, else "
    "indices.",
)
rounding = click.option(
    "--rounding",
    type=click.Choice(get_args(Rounding)),
    default="ceil",
    show_default=True,
    help="Rounding of the budget rate · N: up (ceil), down (floor, as EVA's authors do), or to the nearest "
    "number, of each class if balanced (nearest, as DeepCore's code does).",
)
missing = click.option(
    "--missing",
    type=click.Choice(get_args(Missing)),
    default="masked",
    show_default=True,
    help="What a sample counts in epochs that did not see it: nothing (masked), or a score of 0 (zero).",
)


def configured(command: Command) -> Command:
    """Decorate a command with the configuration of a study, which it gets as `config`."""
    return click.option(
        "--config",
        default="{}",
        metavar="JSON",
        callback=_from_json,
        help="Keys of the configuration, as an object.",
    )(command)


def _from_json(ctx: click.Context, param: click.Parameter, given: str) -> dict[str, Any]:
    try:
        config = json.loads(given)
    except (ValueError, RecursionError) as problem:
        raise UserError(f"--config: not JSON: {problem}") from None
    if not isinstance(config, dict):
        raise UserError("--config: not an object of keys and values")
    return config


device = click.option(
    "--device",
    type=click.Choice(get_args(Device)),
    default="auto",
    show_default=True,
    help="Device to compute on; auto is cuda if there is a GPU.",
)
threads = click.option(
    "--threads", type=click.IntRange(1, 1024), default=1, show_default=True, help="CPU threads."
)


def recipe(command: Command) -> Command:
    """Decorate a command with what a workflow says of its output and of its inputs."""
    own = click.option(
        "--recipe",
        default="",
        metavar="SHA256",
        help="Digest of the options, code and inputs that make the output; it is saved in it.",
    )
    expects = click.option(
        "--expects",
        multiple=True,
        metavar="SHA256",
        help="The --recipe that an input must have, that of DATASET first (repeatable).",
    )
    return own(expects(command))


def job_flags(command: Command) -> Command:
    """Decorate a command with the flags of where and on what a job runs."""
    for flag in (
        click.option("--out", type=Output(folder=True), required=True, help="Output folder."),
        click.option(
            "--checkpoint-seconds",
            type=Number(min=0),
            default=300,
            show_default=True,
            envvar="MEDCORESET_CHECKPOINT_SECONDS",
            show_envvar=True,
            help="Seconds between two checkpoints.",
        ),
        threads,
        device,
        click.option("--network", required=True, help="Network, such as resnet18+width=8."),
        click.option("--protocol", required=True, help="Name of the protocol, for the record."),
        click.option(
            "--dataset",
            type=click.Path(path_type=Path, exists=True, dir_okay=False),
            required=True,
            help="Dataset file (.npz).",
        ),
    ):
        command = flag(command)
    return command


def training_flags(command: Command) -> Command:
    """Decorate a command with one flag per field of `TrainingOptions`.

    Values arrive as text, which `TrainingOptions` converts and checks.
    """
    for option in reversed(dataclasses.fields(TrainingOptions)):
        name, kind = option.name.replace("_", "-"), type_of(option.name)
        given = {
            "default": option.default,
            "show_default": True,
            "help": f"{option.metadata['help'][0].upper()}{option.metadata['help'][1:]}.",
        }
        if kind is bool:
            flag = click.option(f"--{name}/--no-{name}", option.name, **given)
        else:
            if kind is tuple:
                given["default"] = ",".join(map(str, option.default))
            given["metavar"] = _metavar(kind, option.metadata["choices"])
            flag = click.option(f"--{name}", option.name, type=str, **given)
        command = flag(command)
    return command


def _metavar(kind: type, choices: tuple[Any, ...]) -> str:
    names = {int: "INTEGER", float: "NUMBER", str: "NAME", tuple: "NUMBER,NUMBER,…"}
    return "|".join(map(str, choices)) or names[kind]
