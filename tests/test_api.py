"""The Python interface: equal to the command line, one line for a mistake, and quick to import."""

import inspect
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import medcoreset
from medcoreset import Evidence, UserError
from medcoreset.__main__ import cli
from medcoreset.cost import Cost
from medcoreset.selection.coreset import read_coreset
from medcoreset.selection.files import write_coresets
from tests.any_evidence import arrays_of, needed

N, D, C = 40, 6, 4
CORE = {"numpy", "scipy", "click", "filelock", "torch"}
OTHERS = (
    *("snakemake", "medmnist", "pandas", "matplotlib", "torchvision", "sklearn", "PIL", "yaml", "tqdm"),
    *("jsonschema", "requests", "tenacity", "statsmodels", "h5py", "markdown", "lightning", "transformers"),
    *("timm", "accelerate", "psutil"),
)  # fmt: skip


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    probs = np.exp(2 * rng.normal(size=(12, N, C)))
    return {
        "labels": np.arange(N) % C,
        "features": rng.normal(size=(N, D)).astype(np.float32),
        "logits": rng.normal(size=(N, C)).astype(np.float32),
        "probs": (probs / probs.sum(2, keepdims=True)).astype(np.float32),
    }


CASES = [
    ("el2n", {}, {"rate": 0.3}),
    ("eva", {"early": 1, "late": 7, "length": 3}, {"count": 9, "balance": "class"}),
    ("craig", {"precision": "single"}, {"rate": 0.2, "seed": 3}),
    ("importance_sampling", {}, {"rate": 0.2, "seed": 2**63 - 1}),
    ("random", {}, {"count": 1}),
]


@pytest.mark.parametrize(("method", "options", "how"), CASES, ids=[case[0] for case in CASES])
def test_a_selection_is_that_of_the_command_line_byte_for_byte(
    arrays, tmp_path, method, options, how
):
    np.savez(tmp_path / "evidence.npz", **arrays)
    flags = [f"--{name}={value}" for name, value in how.items()]
    settings = [f"--set={name}={value}" for name, value in options.items()]
    command = ["select", method, str(tmp_path / "evidence.npz"), *flags, *settings]
    outcome = CliRunner().invoke(cli, [*command, "--out", str(tmp_path / "command.npz")])
    assert outcome.exit_code == 0, outcome.output
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    for evidence in (tmp_path / "evidence.npz", arrays, tensors, Evidence(arrays)):
        medcoreset.select(method, evidence, **how, **options).save(tmp_path / "python.npz")
        assert (tmp_path / "python.npz").read_bytes() == (tmp_path / "command.npz").read_bytes()


def test_scores_are_those_of_the_selection(arrays):
    selection = medcoreset.select("aum", arrays, rate=0.5, space="probability")
    np.testing.assert_array_equal(medcoreset.score("aum", arrays), selection.scores)
    assert (selection.method, selection.options["space"]) == ("aum", "probability")
    assert selection.weights is None
    assert medcoreset.select("craig", arrays, rate=0.5).weights.sum() == pytest.approx(N)


def test_methods_are_those_that_are_registered():
    from medcoreset.methods.registry import METHODS

    found = medcoreset.methods()
    assert list(found) == sorted(METHODS)
    assert found["eva"].options["late"].default == 190


def test_no_option_is_called_as_an_argument_of_the_interface():
    taken = set(inspect.signature(medcoreset.select).parameters) - {"options"}
    for name, method in medcoreset.methods().items():
        assert not taken & set(method.options), name


@pytest.mark.parametrize("name", sorted(medcoreset.methods()))
def test_every_method_takes_a_mapping(name):
    method = medcoreset.methods()[name]
    given = arrays_of(needed(method))
    if not method.selects:
        with pytest.raises(UserError, match="selects no coreset"):
            medcoreset.select(name, given, count=9)
        return
    found = medcoreset.select(name, given, count=9, device="cpu")
    assert len(set(found.indices)) == 9


MISTAKES = {
    "no size": ({}, "give either rate or count: rate is None, count is None"),
    "two sizes": ({"rate": 0.1, "count": 3}, "give either rate or count: rate is 0.1, count is 3"),
    "rate": ({"rate": 1.5}, "rate is 1.5, but it is to be above 0"),
    "no rate": ({"rate": "a tenth"}, "rate is 'a tenth', but"),
    "count": ({"count": 41}, "count is 41, but it is to be from 1 to 40"),
    "no count": ({"count": 2.5}, "count is 2.5, but it is to be an integer"),
    "balance": ({"count": 3, "balance": "even"}, "balance is 'even', but it is to be global, class, drop"),
    "seed": ({"count": 3, "seed": -1}, "seed is -1, but it is to be an integer from 0"),
    "device": ({"count": 3, "device": "tpu"}, "device is 'tpu', but it is to be auto, cpu, cuda"),
    "threads": ({"count": 3, "threads": 0}, "threads is 0, but"),
    "option": ({"count": 3, "epoch": 3}, "unknown option 'epoch'"),
    "value": ({"count": 3, "epochs": 0}, "epochs is 0, allowed: integer, at least 1"),
    "evidence": ({"count": 3, "evidence": 3}, "evidence is a int, but it is to be a path"),
    "nothing there": ({"count": 3, "evidence": "nowhere"}, "nowhere does not exist"),
    "logits": ({"count": 3, "evidence": {"labels": np.zeros(3, int), "probs": np.ones((1, 3, 2))}}, r"probs\[0, 0\]"),
    "probabilities": ({"count": 3, "evidence": {"labels": np.zeros(3, int), "logits": np.eye(3)}}, "look like prob"),
}  # fmt: skip


@pytest.mark.parametrize("what", MISTAKES)
def test_a_mistake_is_one_line_that_names_it(arrays, what):
    how, named = MISTAKES[what]
    evidence = how.get("evidence", arrays)
    with pytest.raises(UserError, match=named) as refused:
        medcoreset.select("el2n", evidence, **{k: v for k, v in how.items() if k != "evidence"})
    assert "\n" not in str(refused.value)


def test_coresets_are_read_back(arrays, tmp_path):
    saved = medcoreset.select("craig", arrays, rate=0.2, seed=1)
    saved.save(tmp_path / "own.npz")
    write_coresets(tmp_path / "made", {1: saved}, "ab" * 32, "recipe", Cost({}, {}))
    for path in (tmp_path / "own.npz", tmp_path / "made" / "seed1.npz"):
        found = medcoreset.load_coreset(path)
        assert (found.method, found.options) == (saved.method, saved.options)
        for name in ("indices", "scores", "weights"):
            np.testing.assert_array_equal(getattr(found, name), getattr(saved, name))
    assert read_coreset(tmp_path / "made" / "seed1.npz").dataset_sha256 == "ab" * 32
    np.savez(tmp_path / "hand.npz", indices=np.array([3, 1]))
    assert medcoreset.load_coreset(tmp_path / "hand.npz").method == ""


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ({"scores": np.zeros(3)}, "has no indices"),
        ({"indices": np.array([1, 1])}, "names a sample twice"),
        ({"indices": np.array([-1, 1])}, r"indices\[0\] is -1"),
        ({"indices": np.array([0.5])}, "indices is float64"),
        ({"indices": np.array([0]), "weights": np.array([np.nan])}, r"weights\[0\] is nan"),
        ({"indices": np.array([0]), "options": np.array("{")}, "is not a coreset"),
    ],
)
def test_a_file_that_is_no_coreset_is_refused(tmp_path, content, named):
    np.savez(tmp_path / "x.npz", **content)
    with pytest.raises(UserError, match=named):
        medcoreset.load_coreset(tmp_path / "x.npz")


def test_indexed_samples_keep_their_place():
    pairs = medcoreset.IndexedDataset([("a", 0), ("b", 1), ("c", 0)])
    assert (len(pairs), pairs[1], pairs[-1]) == (3, ("b", 1, 1), ("c", 0, 2))
    assert [index for *_, index in torch.utils.data.Subset(pairs, [2, 0])] == [2, 0]
    assert list(pairs) == [("a", 0, 0), ("b", 1, 1), ("c", 0, 2)]
    assert medcoreset.IndexedDataset([{"text": "a"}])[0] == {"text": "a", "index": 0}
    with pytest.raises(IndexError, match="index is 3"):
        pairs[3]


def test_the_interface_is_what_it_says():
    assert set(medcoreset.__all__) <= set(dir(medcoreset))
    for name in medcoreset.__all__:
        assert (getattr(medcoreset, name).__doc__ or "").strip(), name
    with pytest.raises(AttributeError, match="no attribute 'recoder'"):
        medcoreset.recoder  # noqa: B018


def test_importing_waits_for_nothing():
    program = (
        "import sys, time; began = time.process_time(); import medcoreset;"
        "took = time.process_time() - began; assert took < 0.3, took;"
        "assert not {'torch', 'numpy', 'scipy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=100)


LOOP = """
import importlib.abc, sys

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in OTHERS:
            raise ModuleNotFoundError(name)

OTHERS = set(sys.argv[1].split(","))
sys.meta_path.insert(0, Absent())
import numpy as np, torch
from torch.utils.data import DataLoader, TensorDataset
import medcoreset
from medcoreset.__main__ import cli

images, labels = torch.randn(30, 5), torch.arange(30) % 3
recorder = medcoreset.Recorder("dynamics", labels, 3)
for _ in range(3):
    recorder.record(torch.arange(30), torch.randn(30, 3))
    recorder.end_epoch()
model = torch.nn.Sequential(torch.nn.Linear(5, 4), torch.nn.Linear(4, 3))
data = TensorDataset(images, labels)
medcoreset.extract(model, DataLoader(data, 8), head="1", val_loader=DataLoader(data, 8), out="dynamics")
medcoreset.select("glister", "dynamics", rate=0.1).save("one.npz")
medcoreset.score("aum", "dynamics")
for method in medcoreset.methods():
    pass
cli.main(["select", "el2n", "dynamics", "--rate", "0.2", "--set", "epochs=2", "--out", "two.npz"],
         standalone_mode=False)
cli.main(["methods"], standalone_mode=False)
cli.main(["score", "--help"], standalone_mode=False)
assert len(medcoreset.load_coreset("two.npz").indices) == 6
"""


def test_the_core_needs_its_own_dependencies_alone(tmp_path):
    command = [sys.executable, "-c", LOOP, ",".join(OTHERS)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "dynamics" / "val_probs.npy").exists()


def test_what_the_core_needs_is_declared():
    import tomllib

    root = Path(__file__).parents[1]
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {each.partition(">")[0] for each in project["dependencies"]} == CORE
