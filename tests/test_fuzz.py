"""Whatever a file or the command line says, a mistake is a UserError or a usage error, no traceback.

`MEDCORESET_FUZZ=1000` tries so many examples of each kind in place of a few.
"""

import copy
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medcoreset.__main__ import STAGES, cli
from medcoreset.errors import UserError
from medcoreset.study import configuration
from medcoreset.study.documents import parse_yaml
from medcoreset.study.jobs import Jobs
from tests.conftest import ROOT
from tests.studies import SMALLEST, TINY, write

EXAMPLES = int(os.environ.get("MEDCORESET_FUZZ", "15"))
fuzzed = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

WORDS = [
    "",
    "no",
    "1e-1",
    "0.1",
    "nan",
    "digits",
    "lenet",
    "lenet+width=8",
    "digits+train=100",
    "tiny",
    "tiny:clean",
]
WORDS += [
    "random",
    "el2n",
    "../x",
    "a b",
    "{x}",
    "$HOME",
    "'",
    '"',
    "\0",
    "\x1b",
    "\udcff",
    "ü",
    "-1",
    "99999999999999999999",
    "+",
    "=",
    "a+b=c",
]
WORDS += [
    "resnet18+width=0",
    "eva",
    "published",
    "cifar10+val=0",
    "1" * 400,
    "/dev/null",
    "--out",
    ".",
]
SCALARS = st.sampled_from(
    [
        *WORDS,
        0,
        1,
        -1,
        3.0,
        0.1,
        1e300,
        2**63,
        10**30,
        True,
        False,
        None,
        float("nan"),
        float("inf"),
    ]
)
SCALARS |= st.text(max_size=5) | st.integers() | st.floats()
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(SCALARS.filter(lambda key: key == key), inner, max_size=3)
    ),
    max_leaves=5,
)
EXPERIMENT = SMALLEST | {
    "figures": ["gallery"],
    "methods": {"eva": {"length": 1, "early": 1, "late": 2}, "ccs": {"beta": {0.1: 0.2}}},
}
EXPERIMENT |= {"notes": ["n"], "published": ["eva_table1"], "published_as": {"a": "b"}}
PROTOCOL = TINY | {
    "surrogate": {"epochs": 2},
    "selection": {"rounding": "ceil"},
    "extends": "clean",
}
CONFIG = {
    "data_dir": "data",
    "datasets": {"mine": {"path": "a.npz", "image_size": 8}},
    "studies": [],
    "device": "cpu",
}
CONFIG |= {
    "resources": {"train": {"threads": 1, "mem_mb": 800}},
    "jobs_per_gpu": 1,
    "rehearse": False,
    "probs_budget_mb": 1,
    "cache": "c",
}


def places(content: Any, at: tuple = ()) -> list[tuple]:
    """Return where in nested mappings and lists there is a value."""
    items = (
        content.items()
        if isinstance(content, dict)
        else enumerate(content)
        if isinstance(content, list)
        else ()
    )
    return [
        *([at] if at else []),
        *(place for key, inner in items for place in places(inner, (*at, key))),
    ]


@st.composite
def damaged(draw, content: dict) -> dict:
    """Return content with up to three values, or keys, that are something else."""
    content = copy.deepcopy(content)
    for _ in range(draw(st.integers(1, 3))):
        *parents, last = draw(st.sampled_from(places(content)))
        inner = content
        for key in parents:
            inner = inner[key]
        if isinstance(inner, dict) and draw(st.booleans()):
            key = draw(SCALARS.filter(lambda key: key == key))
            inner[key] = inner.pop(last)
        else:
            inner[last] = draw(VALUES)
    return content


def dumped(content: Any) -> str:
    """Return YAML, in which text that none can hold is replaced."""
    text = yaml.safe_dump(content, allow_unicode=True)
    return text.encode("utf-8", "replace").decode("utf-8")


def planned(study: configuration.Study) -> None:
    """Plan the experiment `fuzzed` of a study, or let it be refused."""
    with refusing():
        Jobs(study).targets("fuzzed")
        Jobs(study).plan_file("fuzzed")


@contextmanager
def refusing() -> Iterator[None]:
    """Let the block raise a UserError of one line."""
    told = "nothing"
    try:
        yield
    except UserError as mistake:
        told = str(mistake)
    assert len(told.splitlines()) == 1, told


@fuzzed
@given(content=damaged(EXPERIMENT))
def test_any_experiment_is_planned_or_refused(tmp_path, content):
    write(tmp_path, "protocols", "tiny", TINY)
    (tmp_path / "experiments").mkdir(exist_ok=True)
    (tmp_path / "experiments" / "fuzzed.yaml").write_text(dumped(content), encoding="utf-8")
    planned(configuration.load({"studies": [str(tmp_path)]}))


@fuzzed
@given(content=damaged(PROTOCOL))
def test_any_protocol_is_planned_or_refused(tmp_path, content):
    write(tmp_path, "experiments", "fuzzed", SMALLEST)
    (tmp_path / "protocols").mkdir(exist_ok=True)
    (tmp_path / "protocols" / "tiny.yaml").write_text(dumped(content), encoding="utf-8")
    planned(configuration.load({"studies": [str(tmp_path)]}))


@fuzzed
@given(content=damaged(CONFIG))
def test_any_configuration_is_loaded_or_refused(content):
    with refusing():
        Jobs(configuration.load(content)).dataset_flags("digits")


@fuzzed
@given(
    key=st.sampled_from([*CONFIG, "x"]),
    value=st.text(max_size=20)
    | st.sampled_from(["{a: [", "[1, 2]", "{mine: {path: x.npz}}", "yes"]),
)
def test_any_text_of_config_is_loaded_or_refused(key, value):
    with refusing():
        configuration.load({key: value})


@fuzzed
@given(text=st.text("[]{}:,-&*!|>?%@`'\"#\n\t ab1.~<", max_size=40))
def test_any_yaml_is_read_or_refused(text):
    with refusing():
        parse_yaml(text, "my.yaml")


def arguments(name: str) -> st.SearchStrategy[list[str]]:
    """Return command lines of a stage: its flags with anything, most of them complete."""
    stage = cli.get_command(click.Context(cli), name)
    texts = st.sampled_from([*WORDS, "data.npz", "plan.json", "out"]) | st.text(max_size=6)
    texts = texts.filter(lambda text: "\0" not in text)  # no operating system passes it on

    @st.composite
    def line(draw) -> list[str]:
        given, command = [], stage
        if isinstance(stage, click.Group):
            given.append(draw(st.sampled_from(stage.list_commands(click.Context(cli)))))
            command = stage.get_command(click.Context(cli), given[0])
        for param in command.params:
            if not (param.required or draw(st.integers(0, 9)) == 0):
                continue
            if isinstance(param, click.Argument):
                given.append(draw(texts))
            elif not param.is_flag:
                choices = getattr(param.type, "choices", None)
                usual = st.sampled_from(list(choices)) if choices else texts
                given += [param.opts[0], draw(usual | texts)]
        return given + draw(st.lists(texts, max_size=1))

    return line()


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Return a folder of files of which none is what a stage wants."""
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / "data.npz").write_bytes(b"PK\x03\x04 not an archive")
    (folder / "plan.json").write_text("{}", encoding="utf-8")
    return folder


@pytest.mark.parametrize("name", STAGES)
@fuzzed
@given(data=st.data())
def test_any_command_line_is_run_or_refused(place, monkeypatch, name, data):
    monkeypatch.chdir(place)
    line = data.draw(arguments(name))
    outcome = CliRunner().invoke(cli, [name, *line], standalone_mode=False)
    allowed = (UserError, click.UsageError, click.exceptions.Exit, type(None))
    if not isinstance(outcome.exception, allowed):
        raise outcome.exception
    assert (ROOT / "Snakefile").is_file()
    assert not Path("/dev/null").is_file()
