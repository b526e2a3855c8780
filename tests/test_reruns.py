"""A change reruns what depends on it and nothing else: one finished study, one edit at a time."""

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from tests.conftest import ROOT, Snakemake

pytestmark = pytest.mark.long

CONFIGURATION = """\
datasets:
  mine: {path: mine.npz}
studies: [study]
"""

FILES = {
    "own.yaml": CONFIGURATION,
    "study/experiments/first.yaml": """\
title: "Three methods"
datasets: [digits]
protocols: [short]
surrogate: {network: lenet, seeds: shared}
networks: [lenet]
methods:
  random: {}
  el2n: {epochs: 2}
  eva: {length: 2, early: 1, late: 3}
full: false
rates: [0.3]
seeds: [0, 1]
figures: [accuracy_over_rate, score_evolution]
""",
    "study/experiments/second.yaml": """\
title: "Own data"
datasets: [mine]
protocols: [short]
networks: [lenet]
surrogate: {network: lenet, seeds: shared}
published: [eva_table1]
methods: {random: {}}
full: false
rates: [0.3]
seeds: [0]
""",
    "study/protocols/short.yaml": """\
description: A few epochs.
extends: clean
training: {epochs: 5, batch_size: 64, channels: 0, evaluate_every: 40, precision: float32}
""",
}

SPLITS = {"train": slice(0, 120), "val": slice(120, 180), "test": slice(180, 240)}
FIRST, SECOND = "study/experiments/first.yaml", "study/experiments/second.yaml"
COMMENT = ("import numpy", "# A comment.\nimport numpy")
CODE = ("import numpy", "import math\n\nimport numpy")
EVA = "eva_table1,organamnist,resnet18,resnet18,random,0.02,87.63"
DEEPCORE = "deepcore_table1,cifar10,resnet18,resnet18,random,0.001,21.0"
PROTOCOL = "study/protocols/short.yaml"

Edit = Callable[[str, str, str], None]


@dataclass(frozen=True)
class Project:
    """A copy of the project with two experiments; `made` are all outputs, once it is finished."""

    root: Path
    snakemake: Snakemake
    made: frozenset[str] = frozenset()

    def run(self, *arguments: str) -> str:
        given = ("--snakefile", str(self.root / "Snakefile"))
        given += ("--configfile", str(self.root / "own.yaml"))
        outcome = self.snakemake(self.root, "first", "second", *arguments, *given)
        assert outcome.returncode == 0, outcome.stderr[-5000:]
        return outcome.stdout

    def edit(self, name: str, old: str, new: str) -> None:
        text = (self.root / name).read_text()
        assert text.count(old) == 1, f"{old!r} in {name}"
        (self.root / name).write_text(text.replace(old, new))

    def outputs(self) -> dict[str, bool]:
        """Return every output of the study, and whether it would be made again.

        A plan is named by what it holds, so that another one is another file: here it is one.
        """
        header, *rows = (line.split("\t") for line in self.run("--summary").splitlines())
        path, planned = header.index("output_file"), header.index("plan")
        return {
            re.sub(r"/plan\..*\.json$", "/plan", row[path]): row[planned] == "update pending"
            for row in rows
        }

    def pending(self) -> set[str]:
        return {path for path, again in self.outputs().items() if again}

    def that_match(self, *patterns: str) -> set[str]:
        """Return the finished outputs of which one of the patterns finds a part."""
        return {path for path in self.made if any(re.search(each, path) for each in patterns)}


@pytest.fixture(scope="module")
def project(snakemake, tmp_path_factory) -> Project:
    return finished(snakemake, tmp_path_factory.mktemp("reruns") / "project")


def finished(snakemake: Snakemake, root: Path) -> Project:
    """Copy the project to `root`, and run its two experiments there."""
    for folder in ("config", "envs", "workflow"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    (root / "profiles").symlink_to("workflow/profiles")
    shutil.copy(ROOT / "Snakefile", root)
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    write_digits(root / "mine.npz", first=0)
    project = Project(root, snakemake)
    project.run()
    outputs = project.outputs()
    assert outputs
    assert not any(outputs.values())
    return replace(project, made=frozenset(outputs))


def write_digits(path: Path, first: int) -> None:
    """Write an own dataset of 240 handwritten digits, from the given one on."""
    digits = load_digits()
    images, labels = (digits.images * 15).astype(np.uint8)[first:], digits.target[first:]
    arrays = {}
    for split, part in SPLITS.items():
        arrays |= {f"{split}_images": images[part], f"{split}_labels": labels[part]}
    np.savez(path, **arrays)


@pytest.fixture
def edit(project) -> Iterator[Edit]:
    """Edit files of the project until the test ends."""
    originals: dict[Path, bytes] = {}

    def once(name: str, old: str, new: str) -> None:
        path = project.root / name
        originals.setdefault(path, path.read_bytes())
        project.edit(name, old, new)

    yield once
    for path, content in originals.items():
        path.write_bytes(content)


def test_comments_spaces_and_the_order_of_keys_rerun_nothing(project, edit):
    edit("own.yaml", CONFIGURATION, "# mine\nstudies:\n- study\ndatasets: {mine: {path: mine.npz}}")
    edit("config/config.yaml", "device: auto", "# GPU or CPU\ndevice:   auto")
    edit(FIRST, "rates: [0.3]", "# a tenth is too few\nrates:\n- 0.3   # of 1,000")
    edit(FIRST, "length: 2, early: 1, late: 3", "late: 3, early: 1, length: 2")
    edit(PROTOCOL, "epochs: 5, batch_size: 64", "batch_size: 64, epochs: 5")
    edit("config/protocols/clean.yaml", "training:", "# what all protocols share\ntraining:")
    for name in ("methods/el2n", "recording/recorder", "selection/select", "evidence/evidence"):
        edit(f"workflow/medcoreset/{name}.py", *COMMENT)
    assert project.pending() == set()


def test_what_the_study_does_not_use_reruns_nothing(project, edit):
    edit(PROTOCOL, "A few epochs.", "Five epochs.")
    edit("config/protocols/medmnist.yaml", "lr: 0.001", "lr: 0.002")
    edit("config/experiments/demo.yaml", "seeds: [0, 1, 2]", "seeds: [0, 1]")
    edit("config/published/deepcore.csv", DEEPCORE, DEEPCORE.replace("21.0", "21.1"))
    edit("workflow/medcoreset/methods/aum.py", *CODE)
    edit("workflow/medcoreset/networks/mlp.py", "from torch", "import math\n\nfrom torch")
    edit("workflow/medcoreset/training/progress.py", "import sys", "import math\nimport sys")
    assert project.pending() == set()


def test_another_place_of_the_project_reruns_nothing(project, tmp_path):
    moved = tmp_path / "moved"
    shutil.copytree(project.root, moved, symlinks=True)
    assert replace(project, root=moved).pending() == set()


def test_a_method_reruns_its_scores_and_what_follows(project, edit):
    edit("workflow/medcoreset/methods/el2n.py", *CODE)
    assert project.pending() == project.that_match("/el2n", "experiments/first/")


TRAINED = ["surrogates/", "scores/", "coresets/.*(el2n|eva)", "runs/", "experiments/"]
SELECTED = ["scores/", "coresets/", "runs/", "experiments/"]


@pytest.mark.parametrize(
    ("name", "edited", "depends"),
    [
        ("reporting/metrics", CODE, TRAINED),
        ("recording/recorder", CODE, TRAINED),
        ("networks/lenet", ("from torch", "import math\n\nfrom torch"), TRAINED),
        ("selection/select", CODE, SELECTED),
        ("evidence/evidence", CODE, SELECTED),
    ],
)
def test_code_reruns_what_it_computes_and_what_follows(project, edit, name, edited, depends):
    edit(f"workflow/medcoreset/{name}.py", *edited)
    assert project.pending() == project.that_match(*depends)


@pytest.mark.parametrize(
    ("old", "new", "there", "instead"),
    [
        ("late: 3", "late: 4", "/eva", ("late=3", "late=4")),
        ("epochs: 2", "epochs: 3", "/el2n", ("epochs=2", "epochs=3")),
        ("[0.3]", "[0.3, 0.5]", "(coresets|runs)/digits", ("/0.3/", "/0.5/")),
        ("[0, 1]", "[0, 1, 2]", "(coresets|runs)/digits", ("/0-1", "/0-2")),
    ],
    ids=["window", "option of a method", "rate", "seed"],
)
def test_a_change_of_an_experiment_makes_what_is_missing(project, edit, old, new, there, instead):
    edit(FIRST, old, new)
    missing = {path.replace(*instead) for path in project.that_match(there)}
    assert missing.isdisjoint(project.made)
    assert project.pending() == missing | project.that_match("experiments/first/")


@pytest.mark.parametrize(
    ("old", "new", "depends"),
    [
        (
            "epochs: 5",
            "epochs: 6",
            TRAINED,
        ),
        (
            "extends: clean",
            "extends: clean\nsurrogate: {epochs: 6}",
            ["surrogates/", "/el2n", "/eva", "experiments/first/"],
        ),
        (
            "epochs: 5",
            "record: eval, epochs: 5",
            ["surrogates/", "/el2n", "/eva", "experiments/first/"],
        ),
        (
            "extends: clean",
            "extends: clean\nselection: {rounding: floor}",
            ["coresets/", "runs/", "experiments/"],
        ),
        (
            "extends: clean",
            "extends: clean\nselection: {missing: zero}",
            ["/el2n", "/eva", "experiments/first/"],
        ),
        ("extends: clean", "extends: clean\nreport: best_val", ["experiments/"]),
        ("extends: clean", "extends: clean\nreport: medmnist", ["experiments/"]),
    ],
    ids=[
        "training",
        "training of the surrogate",
        "recording",
        "budget",
        "missing samples",
        "reporting rule",
        "reporting rule of another paper",
    ],
)
def test_a_value_of_a_protocol_reruns_what_depends_on_it(project, edit, old, new, depends):
    edit(PROTOCOL, old, new)
    assert project.pending() == project.that_match(*depends)


@pytest.mark.parametrize(
    ("old", "new"),
    [("[short]", '["short:best_val"]'), ("Own data", "My data")],
    ids=["reporting rule", "title"],
)
def test_what_is_reported_remakes_one_table(project, edit, old, new):
    edit(SECOND, old, new)
    assert project.pending() == project.that_match("experiments/second/")


def test_published_numbers_remake_the_tables_that_show_them(project, edit):
    edit("config/published/eva.csv", EVA, EVA.replace("87.63", "87.36"))
    assert project.pending() == project.that_match("second/(table|seeds)")


def test_a_replaced_dataset_reruns_all_that_is_of_it(project):
    """Also one whose time is older than that of what was made; one that was touched reruns nothing."""
    path = project.root / "mine.npz"
    content = path.read_bytes()
    path.touch()
    assert project.pending() == set()
    write_digits(path, first=500)
    os.utime(path, (10**9, 10**9))
    try:
        assert project.pending() == project.that_match("[/]mine[./]", "experiments/second/")
    finally:
        path.write_bytes(content)


def test_the_code_that_reads_a_dataset_prepares_it_again(project, edit):
    edit("workflow/medcoreset/datasets/npz.py", *CODE)
    edit("workflow/medcoreset/datasets/download.py", "import os", "import math\nimport os")
    assert project.pending() == project.that_match("[/]mine[./]", "experiments/second/")


@pytest.fixture(params=["in memory", "streamed"])
def slides(request, snakemake, tmp_path) -> Callable[..., str]:
    """Run Snakemake on the dataset of a folder of images."""
    random = np.random.default_rng(0)
    for split, name, number in product(("train", "test"), ("benign", "malign"), range(12)):
        path = tmp_path / "slides" / split / name / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (9, 9), dtype=np.uint8)).save(path)
    own = tmp_path / "own.yaml"
    stream = "true" if request.param == "streamed" else "false"
    own.write_text(f"datasets: {{slides: {{path: slides, image_size: 8, stream: {stream}}}}}")

    def run(*arguments: str) -> str:
        given = ("--configfile", str(own))
        outcome = snakemake(tmp_path, "results/data/slides.npz", *arguments, *given)
        assert outcome.returncode == 0, outcome.stderr[-5000:]
        return outcome.stderr + outcome.stdout

    run()
    assert "Nothing to be done" in run("-n")
    return run


def test_what_images_hold_reruns_their_dataset_and_times_do_not(slides, tmp_path):
    image = tmp_path / "slides/train/malign/1.png"
    content, times = image.read_bytes(), image.stat()
    sha256 = json.loads((tmp_path / "results/data/slides.json").read_text())["sha256"]

    image.touch()
    (tmp_path / "slides/train/malign/Thumbs.db").touch()
    assert "Nothing to be done" in slides("-n")

    image.write_bytes(content[:-1] + b"\0")
    os.utime(image, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert "Nothing to be done" not in slides("-n")
    image.write_bytes(content)
    assert "Nothing to be done" in slides("-n")

    Image.new("L", (9, 9)).save(image)
    slides()
    assert json.loads((tmp_path / "results/data/slides.json").read_text())["sha256"] != sha256
    assert "Nothing to be done" in slides("-n")

    shutil.copy(image, image.with_name("12.png"))
    assert "Nothing to be done" not in slides("-n")


def test_a_rerun_keeps_what_was_finished(project, tmp_path):
    """With one seed more only that is trained, and all other files are left as they are."""
    again = replace(project, root=tmp_path / "again")
    shutil.copytree(project.root, again.root, symlinks=True)
    again.edit(SECOND, "seeds: [0]", "seeds: [0, 1]")
    pending = again.pending()
    files = {path for path in project.made if not path.endswith("/plan")}
    before = {path: (again.root / path).stat().st_mtime_ns for path in files}
    again.run()
    after = {path: (again.root / path).stat().st_mtime_ns for path in files}
    assert {path for path in before if after[path] > before[path]} == pending & files
    assert again.pending() == set()
    runs = again.root / "results/runs/mine/short/none/random/0.3/lenet"
    one, two = (json.loads((runs / seeds / "metrics.json").read_text()) for seeds in ("0", "0-1"))
    assert two["seeds"].keys() == {"0", "1"}
    assert two["seeds"]["0"] == one["seeds"]["0"]
    # Another training of the seed would not have taken the same time.
    assert two["measured"]["seconds"]["0"] == one["measured"]["seconds"]["0"]
