"""Command-line flags that the two training stages share."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import click

from medcoreset.training.options import TrainingOptions, type_of

Command = Callable[..., None]


def job_flags(command: Command) -> Command:
    """Decorate a command with the flags of where and on what a job runs."""
    for flag in (
        click.option("--out", type=click.Path(path_type=Path), required=True, help="output folder"),
        click.option(
            "--checkpoint-seconds",
            type=click.FloatRange(min=0),
            default=300,
            show_default=True,
            help="time between two checkpoints",
        ),
        click.option(
            "--threads",
            type=click.IntRange(min=1),
            default=1,
            show_default=True,
            help="CPU threads",
        ),
        click.option(
            "--device",
            type=click.Choice(["auto", "cpu", "cuda"]),
            default="auto",
            show_default=True,
            help="where to train; auto: cuda if there is one",
        ),
        click.option("--network", required=True, help="network id, such as resnet18+width=8"),
        click.option("--protocol", required=True, help="name of the protocol, for the record"),
        click.option(
            "--dataset",
            type=click.Path(path_type=Path, exists=True, dir_okay=False),
            required=True,
            help="canonical dataset (.npz)",
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
        settings = {
            "default": option.default,
            "show_default": True,
            "help": option.metadata["help"],
        }
        if kind is bool:
            flag = click.option(f"--{name}/--no-{name}", option.name, **settings)
        else:
            if kind is tuple:
                settings["default"] = ",".join(map(str, option.default))
            settings["metavar"] = _metavar(kind, option.metadata["choices"])
            flag = click.option(f"--{name}", option.name, type=str, **settings)
        command = flag(command)
    return command


def _metavar(kind: type, choices: tuple) -> str:
    names = {int: "INTEGER", float: "NUMBER", str: "NAME", tuple: "NUMBER,NUMBER,…"}
    return "|".join(map(str, choices)) or names[kind]
