"""No output replaces a device, a folder, or what the same call reads."""

import os
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner

from medcoreset import atomic
from medcoreset.__main__ import STAGES, Stages
from medcoreset.commands import flags
from medcoreset.errors import UserError
from medcoreset.selection.files import check_coresets

FILLED = {
    "--dataset": "data.npz",
    "--evidence": "evidence",
    "--surrogate": "surrogate",
    "--plan": "plan.json",
    "--seeds": "0",
    "--seed": "0",
    "--rate": "0.5",
    "--network": "lenet",
    "--protocol": "clean",
    "--method": "random",
    "--channels": "1",
    "--image-size": "8",
    "--published": "numbers.csv",
}
ARGUMENTS = {
    "dataset": ["digits"],
    "plan": ["demo"],
    "evidence": ["perturbations"],
    "score": ["el2n"],
    "coreset": ["random"],
    "select": ["random", "evidence.npz"],
    "figure": ["gallery"],
    "published": ["eva_table1"],
}


def stage(name: str) -> click.Command:
    return Stages().get_command(click.Context(click.Command("medcoreset")), name)


def writes(command: click.Command) -> bool:
    """Say if a stage, or one below it, is told where to write."""
    if isinstance(command, click.Group):
        context = click.Context(command)
        return any(writes(command.get_command(context, n)) for n in command.list_commands(context))
    return any(param.opts[0] == "--out" for param in command.params)


WRITING = [name for name in STAGES if writes(stage(name))]


def call(name: str, out: str, **changed: str) -> Exception:
    """Call a stage with all that it asks for; return the mistake that it raises."""
    given = [*ARGUMENTS.get(name, [])]
    for param in stage(name).params:
        if param.required and isinstance(param, click.Option) and param.opts[0] != "--out":
            value = changed.get(param.name, FILLED[param.opts[0]])
            given += [param.opts[0], value]
    outcome = CliRunner().invoke(stage(name), [*given, "--out", out])
    return outcome.exception


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    np.savez("data.npz", a=1)
    return tmp_path


@pytest.mark.parametrize("name", WRITING)
def test_no_output_replaces_a_device(here, name):
    if name == "figure":
        os.symlink("/dev/null", "null.svg")
    mistake = call(name, "null" if name == "figure" else "/dev/null")
    assert isinstance(mistake, UserError), mistake
    assert "device" in str(mistake)
    assert not Path("/dev/null").is_file()


@pytest.mark.parametrize("name", WRITING)
def test_every_output_is_checked_before_anything_is_read(here, name):
    whole, context = stage(name), click.Context(click.Command("medcoreset"))
    commands = [whole]
    if isinstance(whole, click.Group):
        commands = [whole.get_command(context, each) for each in whole.list_commands(context)]
    for command in commands:
        (out,) = (param for param in command.params if param.opts[0] == "--out")
        assert isinstance(out.type, flags.Output) or name == "figure"
        assert isinstance(command, flags.Stage)


@pytest.mark.parametrize("name", ["score", "coreset", "windows", "train", "surrogate"])
def test_no_output_is_an_input(here, name):
    folder = any(param.type.folder for param in stage(name).params if hasattr(param.type, "folder"))
    mistake = call(name, "data.npz")
    assert isinstance(mistake, UserError), mistake
    assert ("is a file" if folder else "choose another") in str(mistake)
    assert Path("data.npz").is_file()


def test_no_output_is_within_an_input(here):
    Path("evidence").mkdir()
    np.save("evidence/labels.npy", np.arange(3))
    mistake = (
        CliRunner()
        .invoke(
            stage("select"), ["random", "evidence", "--count", "1", "--out", "evidence/labels.npy"]
        )
        .exception
    )
    assert isinstance(mistake, UserError)
    assert "evidence" in str(mistake)


@pytest.mark.parametrize("path", ["/dev/null", "folder", "file/below", "x" * 300, "a\0b", "loop"])
def test_a_file_is_not_put_there(here, path):
    Path("folder").mkdir()
    Path("file").touch()
    os.symlink("loop", "loop")
    for write in (atomic.check_output, lambda path: atomic.write_json(path, {})):
        with pytest.raises(UserError) as mistake:
            write(path)
        assert "\n" not in str(mistake.value)


def test_a_folder_of_other_things_is_not_replaced_by_coresets(here):
    check_coresets(here / "new")
    Path("made").mkdir()
    for name in ("seed0.npz", "seed9223372036854775807.npz", ".snakemake_timestamp"):
        Path("made", name).touch()
    check_coresets(Path("made"))
    Path("made", "thesis.tex").touch()
    with pytest.raises(UserError, match=r"thesis\.tex"):
        check_coresets(Path("made"))
    with pytest.raises(UserError, match=r"thesis\.tex"):
        raise call("coreset", "made")


@pytest.mark.parametrize("value", ["nan", "inf", "1e999", "-1"])
def test_a_number_of_the_command_line_is_one(here, value):
    mistake = CliRunner().invoke(stage("surrogate"), ["--probs-budget-mb", value])
    assert mistake.exit_code == 2
    assert "Invalid value for '--probs-budget-mb'" in mistake.output
