"""The conda environments hold the versions of the lock, and every rule names one."""

import re

import yaml

from tests.conftest import ROOT


def locked() -> dict[str, set[str]]:
    """Versions by package; one that differs between Python versions has several."""
    versions: dict[str, set[str]] = {}
    for line in (ROOT / "requirements.lock").read_text().splitlines():
        name, _, rest = line.partition("==")
        versions.setdefault(name, set()).add(rest.split()[0])
    return versions


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
        for package, version in packages.items():
            assert version in lock[package], f"{name}: {package} {version}, locked {lock[package]}"


def test_every_rule_that_runs_a_command_names_what_it_needs():
    rules = {}
    for path in (ROOT / "workflow" / "rules").glob("*.smk"):
        for text in re.split(r"^ *rule\b", path.read_text(), flags=re.MULTILINE)[1:]:
            rules[text.partition(":")[0].strip() or f"rules of {path.name}"] = text
    assert len(rules) >= 9
    for name, text in rules.items():
        for directive in ("log", "benchmark", "conda", "resources", "message", "shell"):
            assert re.search(rf"^ +{directive}:", text, re.MULTILINE), f"{name} lacks {directive}"
        assert re.search(r"^ +threads: ", text, re.MULTILINE), f"{name} lacks threads"
        environment = re.search(r"envs/(\w+\.yaml)", text).group(1)
        assert environment in environments()
