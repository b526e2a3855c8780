"""The conda environments: every rule names one, which holds what the rule's command needs."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from PIL import Image

from tests.conda import channel
from tests.conftest import ROOT

pytestmark = pytest.mark.long


def locked() -> dict[str, str]:
    """Versions by package, of those that differ between Python versions the environments'."""
    python = {"python_version": "3.11", "python_full_version": "3.11.0"}
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert text.count("--hash=sha256:") >= text.count("==")
    pinned = [line.removesuffix("\\") for line in text.splitlines() if not line.startswith(" ")]
    lines = map(Requirement, pinned)
    found = [line for line in lines if line.marker is None or line.marker.evaluate(python)]
    return {line.name: str(line.specifier).removeprefix("==") for line in found}


def environments() -> dict[str, dict[str, str]]:
    found = {}
    for path in (ROOT / "envs").glob("*.yaml"):
        packages = yaml.safe_load(path.read_text())["dependencies"][-1]["pip"]
        found[path.name] = dict(package.split("==") for package in packages)
    return found


def test_conda_environments_hold_the_locked_versions():
    lock = locked()
    assert environments()
    for name, packages in environments().items():
        assert packages == {package: lock[package] for package in packages}, name


def test_every_rule_that_runs_a_command_names_what_it_needs():
    rules = {}
    for path in (ROOT / "workflow" / "rules").glob("*.smk"):
        for text in re.split(r"^ *rule\b", path.read_text(), flags=re.MULTILINE)[1:]:
            rules[text.partition(":")[0].strip() or f"rules of {path.name}"] = text
    assert len(rules) >= 9
    for name, text in rules.items():
        for directive in ("log", "conda", "resources", "message", "shell"):
            assert re.search(rf"^ +{directive}:", text, re.MULTILINE), f"{name} lacks {directive}"
        assert re.search(r"^ +threads: ", text, re.MULTILINE), f"{name} lacks threads"
        environment = re.search(r"envs/(\w+\.yaml)", text).group(1)
        assert environment in environments()


@pytest.fixture(scope="module")
def conda(tmp_path_factory) -> Iterator[Path]:
    """A folder for environments; Snakemake finds a `conda`, and that a channel `conda-forge`."""
    if sys.version_info[:2] != (3, 11):
        pytest.skip("the environments are of Python 3.11, the channel is of the tests' own Python")
    folder = tmp_path_factory.mktemp("conda")
    with pytest.MonkeyPatch.context() as patch:
        programs = (ROOT / "tests" / "conda" / "bin", Path(sys.executable).parent)
        patch.setenv("PATH", os.pathsep.join([*map(str, programs), os.environ["PATH"]]))
        patch.setenv("CONDA_CHANNEL_ALIAS", f"file://{folder}/channels/")
        info = subprocess.run(["conda", "info", "--json"], capture_output=True, check=True)
        channel.build(folder / "channels" / "conda-forge", json.loads(info.stdout)["platform"])
        yield folder / "environments"
    shutil.rmtree(folder)


DECODED = """\
title: "A folder of images that are decoded once"
datasets: [scans+stream=decoded]
protocols: [tiny]
surrogate: {network: lenet}
networks: [lenet]
methods: {random: {}}
full: false
rates: [0.5]
seeds: [0]
"""


def test_every_rule_runs_in_the_environment_that_its_file_describes(snakemake, conda, tmp_path):
    deployment = ("--software-deployment-method", "conda", "--conda-prefix", str(conda))
    for number in range(40):
        path = tmp_path / "scans" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 12), (number, 6 * number, 200 * (number % 2))).save(path)
    own = tmp_path / "study" / "experiments" / "decoded_once.yaml"
    own.parent.mkdir(parents=True)
    own.write_text(DECODED)
    folders = [str(ROOT / "tests" / "study"), str(tmp_path / "study")]
    data = {"scans": {"path": str(tmp_path / "scans"), "image_size": 12, "stream": True}}
    # Rehearsed, because then the rule that measures a network's speed runs too.
    config = (f"studies={folders}", f"datasets={json.dumps(data)}", "rehearse=true")
    targets = ("every_rule", "decoded_once")
    outcome = snakemake(tmp_path, *targets, "--config", *config, *deployment, timeout=850)
    assert outcome.returncode == 0, outcome.stderr[-5000:]
    # What papers print is drawn outside a rehearsal alone.
    printed = snakemake(tmp_path, "published", *deployment, timeout=300)
    assert printed.returncode == 0, printed.stderr[-5000:]
    targets = (*targets, "published")
    listed = [
        set(snakemake(tmp_path, option).stdout.split())
        for option in ("--list-rules", "--list-target-rules")
    ]
    ran = re.findall(
        r"^Finished jobid: \d+ \(Rule: (\w+)\)$", outcome.stderr + printed.stderr, re.MULTILINE
    )
    # A rehearsal judges no claims on its runs; on printed numbers the same command does. Rules without
    # wildcards are targets too.
    expected = listed[0] - listed[1] - {"judge_claims"} | {"print_tables", "judge_printed_claims"}
    assert set(ran) - {*targets} == expected, "rules that run a command"
    activated = (outcome.stderr + printed.stderr).count("Activating conda environment")
    assert activated == len(ran) - len(targets)
    assert len(list(conda.glob("*_/bin/python"))) == len(environments())
