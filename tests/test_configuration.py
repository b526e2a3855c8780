"""A mistake in the configuration is one line that names the key, the value, and what is allowed."""

import json
import shutil
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import pytest
import yaml

from medcoreset import methods
from medcoreset.datasets import catalog
from medcoreset.errors import UserError
from medcoreset.identity import Surrogate
from medcoreset.methods.eva import first_epoch
from medcoreset.plan import Plan
from medcoreset.selection.budget import expected_size
from medcoreset.study import configuration, planning, results
from medcoreset.study.jobs import Jobs
from medcoreset.study.recipes import Recipes
from medcoreset.study.schema import schema
from medcoreset.training import schedule
from medcoreset.training.options import TrainingOptions
from tests.conftest import ROOT

TINY = ROOT / "tests" / "study"


@pytest.fixture
def edited(tmp_path: Path):
    """Load the study after an edit of its experiment `tiny` or protocol `tiny`."""

    def load(kind: str, **changes):
        shutil.copytree(TINY, tmp_path / "study")
        path = tmp_path / "study" / kind / "tiny.yaml"
        path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | changes))
        study = configuration.load({"studies": [str(tmp_path / "study")]})
        _ = study.protocols["tiny"], study.experiments["tiny"]
        return study

    return load


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ratess": [0.1]}, ["unknown key 'ratess'", "rates"]),
        ({"rates": [0]}, ["rates[0]", "0", "greater than 0"]),
        ({"rates": [0.1, 1.5]}, ["rates[1]", "1.5", "at most 1"]),
        ({"rates": "0.1"}, ["rates", "'0.1'", "array"]),
        ({"seeds": [-1]}, ["seeds[0]", "-1", "at least 0"]),
        ({"methods": {"evva": {}}}, ["methods", "'evva'", "eva"]),
        ({"methods": {"el2n": {"epoch": 3}}}, ["methods.el2n", "epoch", "epochs"]),
        ({"methods": {"el2n": {"epochs": 7}}}, ["methods.el2n", "7", "6"]),
        ({"methods": {"ccs": {"beta": {0.3: 0.1}}}}, ["methods.ccs.beta", "0.1", "0.3"]),
        ({"methods": {"eva": {"window_pairs": [[1, 5]]}}}, ["methods.eva", "window_pairs", "late"]),
        (
            {"methods": {"eva": {"length": 3, "early": 1, "late": 3}}},
            ["methods.eva", "from epoch 3", "1 to 3"],
        ),
        ({"methods": {"eva": {"length": 3, "early": 1, "late": 5}}}, ["methods.eva", "7", "6"]),
        ({"methods": {"eva": {"early": "published"}}}, ["methods.eva", "digits", "0.1", "late"]),
        ({"methods": {"ccs": {"beta": "published"}}}, ["methods.ccs", "beta", "'published'"]),
        (
            {"methods": {"eva": {"candidates": [{"early": "published"}]}}},
            ["methods.eva", "no published windows for digits"],
        ),
        (
            {"methods": {"ccs": {"candidates": []}}},
            ["methods.ccs.candidates is []", "list of options"],
        ),
        ({"methods": {"ccs": {"candidates": [0.1]}}}, ["methods.ccs.candidates is [0.1]"]),
        ({"methods": {"ccs": {"candidates": {"beta": [0.1]}}}}, ["ccs.candidates", "given: beta"]),
        (
            {"methods": {"ccs": {"candidates": {0.1: [{"beta": 0.1}]}}}},
            ["methods.ccs.candidates", "rate 0.3"],
        ),
        (
            {"methods": {"ccs": {"candidates": [{"beta": 0}, {"betta": 0.1}]}}},
            ["methods.ccs.candidates[1]", "'betta'", "known: beta, of, strata"],
        ),
        ({"methods": {"random": {"candidates": [{"a": 1}]}}}, ["random.candidates[0]", "none"]),
        *[
            (
                {"methods": {"ccs": {"candidates": [{key: value}]}}},
                ["methods.ccs.candidates[0]", repr(key), "beta"],
            )
            for key, value in {
                "method": "aum",
                "label": "CCS",
                "balance": "class",
                "surrogate_epochs": [6],
                "count_from": "code",
                "candidates": [],
            }.items()
        ],
        ({"methods": {"ccs": {"candidates": [{"beta": 2}]}}}, ["methods.ccs", "2", "from 0 to 1"]),
        (
            {"methods": {"ccs": {"beta": 0.1, "candidates": [{"strata": 9}, {"beta": 0.2}]}}},
            ["methods.ccs.candidates[1]", "beta is given for all candidates"],
        ),
        (
            {"methods": {"ccs": {"candidates": [{"beta": 0}, {"beta": 0.1}, {}]}}},
            ["methods.ccs.candidates[2] is {}", "same as candidates[0] at rate 0.1"],
        ),
        (
            {"methods": {"el2n": {"candidates": [{"epochs": 3}, {"epochs": 7}]}}},
            ["methods.el2n", "7", "6"],
        ),
        (
            {"methods": {"aum": {"balance": "classes"}}},
            ["aum.balance", "classes", "global, class, drop"],
        ),
        ({"methods": {"eva": {"count_from": "one"}}}, ["count_from", "'one'", "paper or code"]),
        ({"methods": {"aum": {"count_from": "code"}}}, ["methods.aum", "count_from", "eva"]),
        (
            {"methods": {"eva": {"length": 2, "count_from": "code", "early": 1, "late": 5}}},
            ["methods.eva", "6 to 7", "6 epochs"],
        ),
        (
            {"methods": {"eva": {"length": 2, "count_from": "code", "candidates": [{"late": 5}]}}},
            ["methods.eva", "6 to 7", "6 epochs"],
        ),
        ({"methods": {"random": None}}, ["methods.random", "None", "object"]),
        ({"methods": {"all": {"without": ["best"]}}}, ["methods.all.without", "'best'", "random"]),
        ({"methods": {"all": {"beta": 1}}}, ["methods.all", "'beta'", "balance, without"]),
        ({"datasets": ["digitz"]}, ["datasets", "'digitz'", "digits"]),
        ({"datasets": ["chestmnist+imbalance=0.1"]}, ["datasets", "chestmnist", "one label"]),
        ({"networks": ["resnet19"]}, ["networks", "resnet19", "resnet18"]),
        ({"networks": ["lenet+depth=3"]}, ["networks", "depth", "width"]),
        ({"protocols": ["cleen"]}, ["protocols", "'cleen'", "clean"]),
        ({"protocols": ["tiny:best"]}, ["protocols", "'best'", "best_val"]),
        (
            {"datasets": ["cifar10+val=0"]},
            ["protocols", "tiny:published", "validation", "cifar10+val=0", "clean, deepcore"],
        ),
        (
            {"datasets": ["cifar10+val=0"], "protocols": ["tiny"]},
            ["methods.eva", "2 candidates", "validation", "cifar10+val=0"],
        ),
        (
            {
                "datasets": ["digits", "cifar10+val=0"],
                "protocols": ["tiny"],
                "methods": {"ccs": {"candidates": [{"beta": 0}, {"beta": 0.1}]}},
            },
            ["methods.ccs", "2 candidates", "validation", "cifar10+val=0"],
        ),
        (
            {
                "datasets": ["digits", "cifar10+val=0"],
                "protocols": ["tiny"],
                "methods": {"random": {"balance": "drop"}},
            },
            ["methods.random", "balance is drop", "cifar10+val=0 has none"],
        ),
        ({"figures": ["pie"]}, ["figures", "'pie'", "gallery"]),
        ({"reference": "best"}, ["reference", "'best'", "random"]),
        ({"published": ["eva_table9"]}, ["published", "'eva_table9'", "eva_table1"]),
        ({"surrogate": {"network": "lenet", "epoch": 3}}, ["surrogate", "'epoch'", "epochs"]),
    ],
)
def test_mistake_in_an_experiment_is_one_line(edited, changes, words):
    with pytest.raises(UserError) as mistake:
        edited("experiments", **changes)
    message = str(mistake.value)
    assert "tiny.yaml" in message
    assert "\n" not in message
    assert all(word in message for word in words), message


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"training": {"learning_rate": 0.1}}, ["learning_rate", "lr"]),
        ({"training": {"batch_size": "many"}}, ["batch_size", "many"]),
        ({"training": {"schedule": "warm"}}, ["schedule", "warm", "cosine"]),
        ({"selection": {"rounding": "up"}}, ["rounding", "'up'", "ceil"]),
        ({"extends": "cleen"}, ["extends", "'cleen'", "clean"]),
        ({"extends": "tiny"}, ["extends itself"]),
        ({"report": "best"}, ["report", "'best'", "best_val"]),
        ({"training": {"report": "clean"}}, ["report", "batch_size"]),
    ],
)
def test_mistake_in_a_protocol_is_one_line(edited, changes, words):
    with pytest.raises(UserError) as mistake:
        edited("protocols", **changes)
    assert all(word in str(mistake.value) for word in ["tiny.yaml", *words]), mistake.value


def test_unknown_configuration_key_stops_snakemake_with_one_line(snakemake, tmp_path):
    outcome = snakemake(tmp_path, "-n", "--config", "dvice=cpu")
    assert outcome.returncode != 0
    profile, mistake = outcome.stderr.strip().split("\n")
    assert profile.startswith("Using workflow specific profile")
    assert "'dvice'" in mistake
    assert "device" in mistake


def test_every_experiment_of_the_papers_is_planned():
    study = configuration.load({})
    for name, experiment in study.experiments.items():
        made = planning.of(Recipes(study), experiment)
        assert Plan.from_json(json.loads(json.dumps(made.to_json()))) == made, name
        assert len(made.runs) == len(list(results.cells(study, experiment))), name
    table1 = study.experiments["eva_table1"]
    organs = [run for run in results.runs(study, table1) if run.dataset == "organsmnist"]
    assert len(organs) == 41  # jobs of three seeds each: 123 trainings
    assert len(set(results.runs(study, table1))) == len(results.metrics(study, table1))


def test_all_stands_for_every_method_that_has_no_row_of_its_own(edited):
    mine = {"method": "el2n", "label": "Mine", "epochs": 2}
    shown = ["random", "aum", "eva", "el2n", "herding"]
    others = [name for name in methods.METHODS if name not in shown]
    rows = {"random": {}, "all": {"without": ["eva", *others], "balance": "class"}, "mine": mine}
    found = edited("experiments", methods=rows).experiments["tiny"]["methods"]
    own_rows = {"aum": {"balance": "class"}, "herding": {"balance": "class"}}
    assert {key: dict(row) for key, row in found.items()} == {
        "random": {},
        **own_rows,
        "mine": mine,
    }
    # The file has its keys in the order of the alphabet.
    assert list(found) == [*(n for n in methods.METHODS if n in own_rows), "mine", "random"]


def test_experiments_share_runs():
    study = configuration.load({})
    figure3 = results.runs(study, study.experiments["eva_figure3"])
    assert figure3 == results.runs(study, study.experiments["eva_figure4"])
    table1 = set(results.runs(study, study.experiments["eva_table1"]))
    assert table1 & set(figure3), "the dual-window variance is Table 1's EVA"


def test_published_windows_are_those_of_the_appendix():
    listed = configuration.published_windows("organsmnist", 0.1, "")
    assert listed == {"early": 100, "late": 190}
    with pytest.raises(UserError, match="no published windows for digits"):
        configuration.published_windows("digits", 0.1, "here")


def test_surrogate_identity_splits_into_network_and_its_own():
    name = "resnet18+width=8+epochs=5+seed=2"
    assert Surrogate.parse(name) == Surrogate("resnet18+width=8", seed=2, epochs=5)
    assert Surrogate.parse(name).name == name


def test_a_surrogate_of_the_protocols_own_length_has_one_name():
    study = configuration.load({})
    deepcore = study.protocols["deepcore"]
    lengths = study.experiments["deepcore_table4"].surrogates(deepcore)
    assert "resnet18+seed=0" in lengths
    assert "resnet18+epochs=15+seed=0" in lengths
    assert not any("epochs=10+" in name for name in lengths)
    table1 = results.surrogates(study, study.experiments["deepcore_table1"])
    assert set(table1) < set(results.surrogates(study, study.experiments["deepcore_table4"]))


def test_planning_imports_nothing_that_is_slow():
    code = (
        "import sys; from medcoreset.study import configuration, planning, results, jobs;"
        "configuration.load({}); sys.exit(bool({'torch', 'matplotlib', 'pandas', 'scipy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_documentation_names_every_key():
    text = (ROOT / "config" / "README.md").read_text()
    for kind in ("config", "experiment", "protocol", "claims"):
        for key in schema(kind)["properties"]:
            assert f"`{key}`" in text, f"config/README.md lacks `{key}` of {kind}"
    for option in fields(TrainingOptions):
        assert f"`{option.name}`" in text, f"config/README.md lacks training option {option.name}"


def test_default_configuration_has_only_known_keys():
    given = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    assert set(given) <= set(schema("config")["properties"])


def test_own_data_is_a_file_or_a_folder_with_an_image_size(tmp_path):
    own = {"mine": {"path": "a.npz"}, "slides": {"path": "b", "image_size": 64, "stream": True}}
    jobs = Jobs(configuration.load({"datasets": own}))
    assert jobs.dataset_flags("mine+train=50") == "--file a.npz"
    assert jobs.dataset_flags("slides") == (
        "--folder b --image-size 64 --stream --contents results/.contents.json"
    )
    assert jobs.inputs.files("mine") == []
    (tmp_path / "organsmnist.npz").touch()
    jobs = Jobs(configuration.load({"data_dir": str(tmp_path)}))
    assert jobs.inputs.files("organsmnist") == [str(tmp_path / "organsmnist.npz")]
    with pytest.raises(
        UserError, match=r"datasets\.slides: b is a folder of images, give its image"
    ):
        configuration.load({"datasets": {"slides": {"path": "b"}}})
    with pytest.raises(UserError, match="taken by a public dataset"):
        configuration.load({"datasets": {"digits": {"path": "a.npz"}}})


def test_a_dataset_depends_on_its_reader_and_no_other():
    own = {"mine": {"path": "a.npz"}}
    names = ["digits", "organsmnist", "octmnist", "cifar10", "tinyimagenet", "imagenet", "mine"]
    codes = [Jobs(configuration.load({"datasets": own})).inputs.code(name) for name in names]
    assert codes[1] == codes[2]
    assert len(set(codes)) == len(names) - 1


def test_what_data_hold_is_known_whatever_they_are(tmp_path):
    (tmp_path / "a.npz").write_bytes(b"x")
    (tmp_path / "MNIST" / "raw").mkdir(parents=True)
    (tmp_path / "MNIST" / "raw" / "x").write_bytes(b"x")
    own = {
        "mine": {"path": str(tmp_path / "a.npz")},
        "gone": {"path": str(tmp_path / "gone.npz")},
        "wrong": {"path": str(tmp_path), "image_size": 8},
    }
    jobs = Jobs(configuration.load({"datasets": own, "data_dir": str(tmp_path)}))
    found = {name: jobs.inputs.contents(name) for name in (*own, "mnist", "digits", "svhn")}
    assert [name for name, contents in found.items() if not contents] == ["gone", "digits", "svhn"]
    assert len(set(found.values())) == 4
    assert jobs.inputs.files("mnist") == [str(tmp_path / "MNIST")]


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("organsmnist", "OrganSMNIST"),
        ("dermamnist_64", "DermaMNIST (64 pixels)"),
        ("fashionmnist+train=6000", "FashionMNIST (6,000 training images)"),
        ("cifar10+val=0", "CIFAR-10"),
        ("my_data", "my_data"),
    ],
)
def test_datasets_are_named_as_they_are_written(name, label):
    assert catalog.label(catalog.parse(name, ["my_data"])) == label


def test_a_run_has_one_name_however_its_network_is_spelled(edited):
    study = edited("experiments", networks=["lenet+width=6"], surrogate={"network": "lenet"})
    assert study.experiments["tiny"]["networks"] == ["lenet"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"full": {"method": "el2n"}}, r"methods\.full: that key is not a method's"),
        ({"none": {"method": "el2n"}}, r"methods\.none: that key is not a method's"),
        ({"random": {"method": "el2n"}}, "that key is the method random's"),
        ({"a/b": {"method": "el2n"}}, "a row's key has letters"),
        ({"el2n": {}, "again": {"method": "el2n", "label": "EL2N"}}, "that of (el2n|again) too"),
        ({"el2n": {}, "again": {"method": "aum", "label": " EL2N"}}, "that of (el2n|again) too"),
    ],
)
def test_rows_that_could_be_taken_for_others_are_refused(edited, rows, message):
    with pytest.raises(UserError, match=message):
        edited("experiments", methods=rows)


def test_rates_keep_their_identity(edited):
    """Two rates are two paths, however alike, and the job gets the rate that was written."""
    rates = [0.1, 0.1000000001, 0.123456789012, 1e-05]
    # Of enough images that the least of them is a coreset to train on.
    study = edited("experiments", rates=rates, datasets=["imagenet"])
    paths = results.metrics(study, study.experiments["tiny"])
    assert {float(path.split("/")[6]) for path in paths} == {*rates, 1.0}
    made = planning.of(Recipes(study), study.experiments["tiny"])
    assert {run.rate for run in made.runs} == {*rates, 1.0}


def test_protocols_of_papers_fix_the_arithmetic():
    study = configuration.load({})
    for name, protocol in study.protocols.items():
        if {"published", "deepcore", "medmnist"} & set(study.lineage(name)):
            assert protocol.training.precision == protocol.surrogate.precision == "float32"


def test_windows_are_counted_as_in_the_paper_or_as_in_its_code():
    study = configuration.load({})
    table1 = study.experiments["eva_table1"]

    def windows(experiment, key, rate):
        (options,) = study.options(experiment, key, "organamnist", "published", rate)
        return options["windows"], options["early"], options["late"]

    assert windows(table1, "eva", 0.1) == ("dual", 101, 191)  # (100, 190)
    assert windows(table1, "eva", 0.2) == ("dual", 1, 151)  # (1, 150)
    figure5 = study.experiments["eva_figure5"]
    assert windows(figure5, "window_90_190", 0.1) == ("dual", 91, 191)
    assert windows(figure5, "window_90", 0.1)[:2] == ("single", 91)
    assert windows(figure5, "window_1", 0.1)[:2] == ("single", 1)
    clean = study.experiments["eva_table1_clean"]
    options = study.options(clean, "eva", "organamnist", "clean", 0.1)
    assert [(each["early"], each["late"]) for each in options[:2]] == [(1, 190), (1, 150)]


def test_candidates_are_options_of_any_method_each_a_run(edited):
    rows = {
        "el2n": {"epochs": 1},
        "ccs": {"strata": 20, "candidates": [{}, {"beta": 0.1}, {"beta": {0.1: 0.2, 0.3: 0.3}}]},
        "eva": {
            "length": 1,
            "early": 1,
            "count_from": "code",
            "candidates": {0.1: [{"late": 3}, {"late": 4}], 0.3: [{"late": 5}]},
        },
    }
    study = edited("experiments", methods=rows, protocols=["tiny"], full=False)
    tiny = study.experiments["tiny"]
    found = {}
    for _, key, run in results.cells(study, tiny):
        if run.surrogate_seed == 0:
            found.setdefault((key, run.rate), []).append(run.variant)
    assert found == {
        ("el2n", 0.1): ["el2n+epochs=1"],
        ("el2n", 0.3): ["el2n+epochs=1"],
        ("ccs", 0.1): [f"ccs{beta}+strata=20" for beta in ("", "+beta=0.1", "+beta=0.2")],
        ("ccs", 0.3): [f"ccs{beta}+strata=20" for beta in ("", "+beta=0.1", "+beta=0.3")],
        ("eva", 0.1): ["eva+late=4+length=1", "eva+late=5+length=1"],
        ("eva", 0.3): ["eva+late=6+length=1"],
    }
    made = planning.of(Recipes(study), tiny)
    by_cell = {}
    for run in made.runs:
        by_cell.setdefault(run.cell, set()).add(run.variant)
    assert sorted(map(len, by_cell.values())) == [1, 1, 1, 2, 3, 3]


def test_one_candidate_is_the_option_itself(edited):
    rows = {"ccs": {"candidates": [{"beta": 0.1}]}, "same": {"method": "ccs", "beta": 0.1}}
    study = edited("experiments", methods=rows)
    runs = {key: run for _, key, run in results.cells(study, study.experiments["tiny"])}
    assert runs["ccs"] == runs["same"]


def test_published_windows_may_be_candidates():
    """Where the appendix lists a pair that is another candidate too, it is named."""
    study = configuration.load({})
    table1 = study.experiments["eva_table1"]
    published = {"early": "published", "late": "published"}
    rows = {"eva": {"candidates": [published, {"early": 1, "late": 150}]}}
    changed = replace(table1, content=table1.content | {"methods": rows})
    (first, other) = study.options(changed, "eva", "organamnist", "published", 0.1)
    assert (first["early"], first["late"], other["late"]) == (100, 190, 150)
    with pytest.raises(UserError, match=r"candidates\[1\] is .* candidates\[0\] at rate 0.2"):
        study.options(changed, "eva", "organamnist", "published", 0.2)


def test_rows_of_the_clean_studies_have_equal_numbers_of_candidates():
    """And EVA without a search is one of them, so that it takes no further training."""
    study = configuration.load({})
    for name, protocol, number in (
        ("eva_table1_clean", "clean", 7),
        ("eva_table_a2_small", "clean_small", 3),
    ):
        experiment = study.experiments[name]
        variants: dict[str, set] = {}
        for _, key, run in results.cells(study, experiment):
            if run.protocol == protocol:
                variants.setdefault(key, set()).add(run.variant)
        assert {len(each) for each in variants.values()} == {1, number}, name
        tuned = {key for key, each in variants.items() if len(each) > 1}
        assert {"el2n", "ccs", "eva", "eva_class"} <= tuned
        assert variants["eva_fixed"] < variants["eva"]


@pytest.mark.parametrize(("start", "paper", "code"), [(1, 1, 1), (2, 2, 3), (190, 190, 191)])
def test_first_epoch_of_a_window(start, paper, code):
    assert (first_epoch(start, "paper"), first_epoch(start, "code")) == (paper, code)


def test_a_row_of_its_own_balance_shares_the_surrogate_and_the_scores():
    study = configuration.load({})
    table1 = study.experiments["eva_table1"]
    cells = {key: run for _, key, run in results.cells(study, table1)}
    shared, own = cells["eva"], cells["eva_class"]
    assert (shared.balance, own.balance) == ("", "+balance=class")
    for pattern in (results.SURROGATE, results.SCORES):
        assert results.path(study, pattern, shared) == results.path(study, pattern, own)
    coresets = [results.path(study, results.CORESETS, run) for run in (shared, own)]
    assert coresets[0].replace("/0.3/", "/0.3+balance=class/") == coresets[1]
    recipes = Recipes(study)
    assert recipes.scores(shared) == recipes.scores(own)
    assert recipes.coresets(shared) != recipes.coresets(own)
    assert recipes.run(shared) != recipes.run(own)


def test_a_row_of_budgets_by_recall_has_a_surrogate_whatever_its_method(edited):
    rows = {"random": {"balance": "drop"}, "herding": {}, "el2n": {"balance": "drop", "epochs": 1}}
    study = edited("experiments", methods=rows, surrogate={"network": "lenet"})
    runs = {key: run for _, key, run in results.cells(study, study.experiments["tiny"])}
    usual = study.protocols["tiny"].balance
    assert runs["random"].surrogate == runs["el2n"].surrogate == runs["herding"].surrogate
    sources = {key: results.selected_from(runs[key], usual) for key in rows}
    assert sources == {
        "random": ["evidence"],
        "herding": ["evidence"],
        "el2n": ["evidence", "scores"],
    }
    recipes = Recipes(study)
    expected = [recipes.dataset(runs["el2n"].dataset), recipes.surrogate(runs["el2n"])]
    expected.append(recipes.scores(runs["el2n"]))
    assert recipes.coresets(runs["el2n"]).inputs == tuple(each.own for each in expected)


def test_a_balance_that_is_the_protocols_own_is_not_spelled_out(edited):
    rows = {"el2n": {"epochs": 1}, "same": {"method": "el2n", "epochs": 1, "balance": "global"}}
    study = edited("experiments", methods=rows, surrogate={"network": "lenet"})
    runs = {key: run for _, key, run in results.cells(study, study.experiments["tiny"])}
    assert runs["el2n"] == runs["same"]


@pytest.mark.parametrize(
    ("rate", "batches"),
    [(0.001, 1), (0.005, 2), (0.01, 4), (0.05, 20), (0.1, 40), (0.2, 79), (0.9, 352), (1, 391)],
)
def test_deepcores_protocol_takes_as_many_steps_as_deepcore(rate, batches):
    """A DataLoader of CIFAR-10's coreset has ⌈M / 128⌉ batches, in each of 200 epochs."""
    protocol = configuration.load({}).protocols["deepcore"]
    size = expected_size(rate, 50_000, 10, protocol.rounding, protocol.balance)
    laid_out = schedule.plan(size, protocol.training)
    assert (size, laid_out.iterations) == (round(50_000 * rate), 200 * batches)
    assert laid_out.batches[0] == (0, min(128, size))
