"""The wheel, in an environment that has what the core depends on and nothing else."""

import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement

import medcoreset
from tests.own_loop import OWN_LOOP

REPOSITORY = Path(__file__).parent.parent
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")


def requirements(name: str, extras: frozenset[str] = frozenset()) -> set[str]:
    """Return the distributions that one needs here, itself included, by their names."""
    found, todo = set(), [name]
    while todo:
        one = todo.pop()
        if one in found:
            continue
        found.add(one)
        for line in metadata.requires(one) or ():
            requirement = Requirement(line)
            marker = requirement.marker
            if marker is None or marker.evaluate({"extra": ""}):
                todo.append(requirement.name)
    return found


def installed(name: str) -> bool:
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    return True


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """The bin folder of a virtual environment with the wheel and links to its requirements."""
    place = tmp_path_factory.mktemp("a wheel")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "workflow", "pyproject.toml", "README.md", "LICENSE"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        (place / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / name, place / "source" / name)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", place, "."]
    subprocess.run(build, cwd=place / "source", check=True)
    (wheel,) = place.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place / "venv"], check=True)
    python = place / "venv" / "bin" / "python"
    subprocess.run([*pip, "--python", python, "install", "--no-deps", wheel], check=True)
    (packages,) = (place / "venv" / "lib").glob("*/site-packages")
    for name in filter(installed, requirements("medcoreset") - {"medcoreset"}):
        files = metadata.files(name) or ()
        for top in {file.parts[0] for file in files if file.parts[0] != ".."}:
            source = Path(metadata.distribution(name).locate_file(top))
            if source.exists() and not (packages / top).exists():
                (packages / top).symlink_to(source)
    return place / "venv" / "bin"


def run(command, **how):
    """Run something that finds neither this repository nor what is installed here."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    found = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, check=False, env=clean, **how
    )
    assert found.returncode == 0, found.stderr
    return found.stdout


def test_what_the_readme_shows_and_the_command(environment, tmp_path):
    shown = README.split("```python\n")[1].split("```")[0]
    run(
        [environment / "python", "-c", f"{OWN_LOOP}{shown}selection.save('coreset.npz')"],
        cwd=tmp_path,
    )
    given = ["el2n", "dynamics", "--rate", 0.1, "--set", "epochs=5"]
    run([environment / "medcoreset", "select", *given, "--out", "command.npz"], cwd=tmp_path)
    of_both = [(tmp_path / name).read_bytes() for name in ("coreset.npz", "command.npz")]
    assert of_both[0] == of_both[1]
    assert "el2n" in run([environment / "medcoreset", "methods"])
    assert "--list" in run([environment / "medcoreset", "select", "--help"])


def test_methods_select_or_say_what_they_need(environment, tmp_path):
    """All but a few do with the packages that the core depends on."""
    rng = np.random.default_rng(0)
    n, classes = 90, 3
    labels = np.arange(n) % classes
    logits = 2 * np.eye(classes)[labels] + rng.normal(size=(n, classes))
    probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    val = {"val_features": rng.normal(size=(30, 8)), "val_probs": probs[:30]}
    dynamics = rng.dirichlet(np.ones(classes), size=(210, n)) * 0.8 + np.eye(classes)[labels] * 0.2
    arrays = {"labels": labels, "logits": logits, "features": rng.normal(size=(n, 8))}
    given = {"probs": dynamics, "perturbations": rng.random(n), "val_labels": labels[:30]}
    np.savez(tmp_path / "evidence.npz", **arrays, **given, **val)
    code = """
import medcoreset
evidence = medcoreset.Evidence.load("evidence.npz")
for name, method in medcoreset.methods().items():
    if method.selects and all(map(evidence.has, method.needed())):
        try:
            assert len(medcoreset.select(name, "evidence.npz", count=9).indices) == 9
            print(name)
        except medcoreset.UserError as mistake:
            print(mistake)
"""
    lines = run([environment / "python", "-c", code], cwd=tmp_path).splitlines()
    done = [line for line in lines if line in medcoreset.methods()]
    others = [line for line in lines if line not in done]
    assert all("needs the package sklearn" in line for line in others), others
    assert len(done) > 25 > 5 > len(others)


def test_it_says_that_it_is_typed(environment):
    code = "import medcoreset, pathlib; print(pathlib.Path(medcoreset.__file__).parent)"
    package = Path(run([environment / "python", "-c", code], cwd=environment).strip())
    assert (package / "py.typed").is_file()
    assert package.is_relative_to(environment.parent)
