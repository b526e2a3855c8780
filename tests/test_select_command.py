import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from medcoreset import cost
from medcoreset.__main__ import cli
from medcoreset.datasets import canonical
from medcoreset.errors import UserError
from medcoreset.evidence import statistics

N, T, C = 40, 12, 3
EVA = ["--set", "late=7", "--set", "length=3"]


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "labels": rng.permutation(np.arange(N) % C),
        "probs": statistics.softmax(rng.normal(size=(T, N, C)) * 2).astype(np.float16),
    }


@pytest.fixture
def evidence(arrays, tmp_path) -> Path:
    np.savez(tmp_path / "evidence.npz", **arrays)
    return tmp_path / "evidence.npz"


@pytest.fixture
def folder(arrays, tmp_path) -> Path:
    folder = tmp_path / "evidence"
    folder.mkdir()
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    return folder


@pytest.fixture
def dataset(arrays, tmp_path) -> Path:
    images = np.zeros((N, 8, 8), dtype=np.uint8)
    splits = {f"{split}_images": images for split in ("train", "val", "test")}
    labels = {f"{split}_labels": arrays["labels"] for split in ("train", "val", "test")}
    path = tmp_path / "data" / "phantom.npz"
    canonical.write(canonical.Dataset(name="phantom", **splits, **labels), path)
    return path


def run(*arguments) -> Result:
    return CliRunner().invoke(cli, [str(each) for each in arguments], catch_exceptions=False)


def test_a_selection_is_a_file_of_plain_arrays(evidence, tmp_path):
    out = tmp_path / "made" / "selection.npz"
    run("select", "eva", evidence, "--rate", "0.1", *EVA, "--out", out)
    with np.load(out, allow_pickle=False) as made:
        assert set(made.files) == {"indices", "scores", "method", "options"}
        assert made["indices"].dtype == np.int64
        assert made["scores"].dtype == np.float64
        assert (len(made["indices"]), len(made["scores"])) == (4, N)
        assert str(made["method"]) == "eva"
        assert json.loads(str(made["options"]))["late"] == 7
    assert [path.name for path in out.parent.iterdir()] == ["selection.npz"]


@pytest.mark.parametrize("method", ["random", "forgetting", "el2n", "aum", "ccs", "eva"])
@pytest.mark.parametrize("balance", ["global", "class"])
def test_a_seed_decides_every_byte(evidence, folder, tmp_path, method, balance):
    options = EVA if method == "eva" else []
    made = []
    for source, out in ((evidence, "a.npz"), (folder, "b.npz")):
        arguments = ["--count", 7, "--balance", balance, "--seed", 3, *options]
        run("select", method, source, *arguments, "--out", tmp_path / out)
        made.append((tmp_path / out).read_bytes())
    assert made[0] == made[1]


MISTAKES = {
    "missing evidence": (["entropy"], {}, "final_probs or logits"),
    "missing labels": (["el2n"], {"labels": None}, "labels"),
    "unknown method": (["evs"], {}, "evs"),
    "unknown option": (["eva", "--set", "window=3"], {}, "early, late, length"),
    "bad option": (["eva", "--set", "length=none"], {}, "length"),
    "not a setting": (["eva", "--set", "length"], {}, "KEY=VALUE"),
    "windows": (["eva"], {}, "190 to 199"),
    "rate 0": (["el2n", "--rate", "0"], {}, "rate is 0"),
    "rate above 1": (["el2n", "--rate", "1.5"], {}, "rate is 1.5"),
    "rate nan": (["el2n", "--rate", "nan"], {}, "rate is nan"),
    "rate and count": (["el2n", "--rate", "0.5", "--count", "3"], {}, "--rate or --count"),
    "count 0": (["el2n", "--count", "0"], {}, "count is 0"),
    "count above N": (["el2n", "--count", "41"], {}, "count is 41"),
    "balance": (["el2n", "--balance", "even"], {}, "--balance"),
    "label": (["el2n"], {"labels": np.full(N, C)}, "labels[0] is 3"),
    "NaN": (["el2n"], {"probs": np.full((T, N, C), np.nan)}, "probs[0, 0] has NaN"),
    "NaN elsewhere": (["el2n"], {"features": np.full((N, 2), np.nan)}, "features[0, 0] has NaN"),
    "constant": (["el2n"], {"probs": np.full((T, N, C), 1 / C)}, "all scores are equal"),
}


def test_a_selection_may_be_called_anything(evidence, tmp_path):
    run("select", "eva", evidence, "--rate", "0.1", *EVA, "--out", tmp_path / "coreset")
    with np.load(tmp_path / "coreset") as file:
        assert len(file["indices"]) == 4


@pytest.mark.parametrize("what", MISTAKES)
def test_a_mistake_is_named_and_leaves_no_file(arrays, tmp_path, what):
    arguments, changes, named = MISTAKES[what]
    changed = {key: array for key, array in (arrays | changes).items() if array is not None}
    np.savez(tmp_path / "evidence.npz", **changed)
    size = [] if {"--rate", "--count"} & set(arguments) else ["--count", 5]
    out = tmp_path / "out" / "selection.npz"
    command = [arguments[0], tmp_path / "evidence.npz", *size, *arguments[1:], "--out", out]
    try:
        result = run("select", *command)
    except UserError as mistake:
        message = str(mistake)
    else:
        assert result.exit_code == 2
        message = result.output
    assert named in message
    assert not out.parent.exists() or not list(out.parent.iterdir())


@pytest.mark.parametrize("arguments", [["--rate", "2"], ["--count", "x"], []])
def test_a_mistake_is_one_line_and_exit_status_2(evidence, tmp_path, arguments):
    command = [sys.executable, "-m", "medcoreset", "select", "el2n", str(evidence), *arguments]
    process = subprocess.run(
        [*command, "--out", str(tmp_path / "x.npz")], capture_output=True, text=True, check=False
    )
    assert process.returncode == 2
    assert process.stdout == ""
    assert len(process.stderr.splitlines()) == 1
    assert not (tmp_path / "x.npz").exists()


def test_selecting_does_not_wait_for_torch(evidence, tmp_path):
    program = (
        "import sys; from medcoreset.__main__ import cli;"
        "cli.main(sys.argv[1:], standalone_mode=False);"
        "assert not {'torch', 'scipy', 'pandas', 'sklearn'} & set(sys.modules)"
    )
    out = tmp_path / "x.npz"
    command = ["select", "aum", str(evidence), "--rate", "0.5", "--out", str(out)]
    subprocess.run([sys.executable, "-c", program, *command], check=True)
    assert out.exists()


@pytest.mark.parametrize("stage", ["select", "score", "coreset"])
def test_a_stage_computes_on_the_device_and_the_threads_it_is_given(
    stage, folder, dataset, tmp_path, monkeypatch
):
    rng = np.random.default_rng(0)
    np.save(folder / "features.npy", rng.normal(size=(N, 4)))
    np.save(folder / "final_probs.npy", statistics.softmax(rng.normal(size=(N, C))))
    of_dataset = ["--dataset", dataset, "--evidence", folder]
    command = {
        "select": ["select", "cal", folder, "--count", 9],
        "score": ["score", "cal", *of_dataset],
        "coreset": ["coreset", "cal", *of_dataset, "--rate", 0.2, "--seeds", 0],
    }[stage]
    limits = []
    monkeypatch.setattr(torch, "set_num_threads", limits.append)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    out = tmp_path / "out.npz"
    with pytest.raises(UserError, match="cuda is not available"):
        run(*command, "--device", "cuda", "--out", out)
    assert not out.exists()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    run(*command, "--device", "cpu", "--threads", 3, "--out", out)
    assert out.exists()
    assert limits[0] == 1
    assert set(limits[1:]) == {3}


def test_methods_are_listed():
    text = run("methods").output
    assert "late=190" in text
    assert "error_norm" in text
    table = run("methods", "--format", "markdown").output.strip().splitlines()
    widths = {row.replace("\\|", "").count("|") for row in table}
    assert len(widths) == 1


# --- the pipeline's stages


def test_score_then_coreset(folder, dataset, tmp_path):
    scores = tmp_path / "scores.npz"
    stage = ["--dataset", dataset, "--evidence", folder]
    run("score", "eva", *stage, *EVA, "--out", scores)
    sha256 = canonical.load_info(dataset)["sha256"]
    with np.load(scores) as made:
        assert made["scores"].dtype == np.float64
        assert made["scores"].shape == (N,)
        assert str(made["dataset_sha256"]) == sha256
    out = tmp_path / "coresets"
    of_scores = ["--dataset", dataset, "--rate", 0.3, "--seeds", "0,2", *EVA, "--out", out]
    run("coreset", "eva", "--scores", scores, *of_scores)
    assert sorted(path.name for path in out.iterdir()) == [
        "cost.json",
        "seed0.npz",
        "seed2.npz",
    ]
    assert cost.read(out / cost.FILE).seconds.keys() == {"score", "selection"}
    first = (out / "seed0.npz").read_bytes()
    with np.load(out / "seed0.npz") as made:
        assert len(made["indices"]) == 12
        assert str(made["dataset_sha256"]) == sha256
    run("coreset", "eva", "--evidence", folder, *of_scores)
    assert (out / "seed0.npz").read_bytes() == first
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_random_coresets_need_the_dataset_alone(dataset, tmp_path):
    out = tmp_path / "coresets"
    stage = ["--dataset", dataset, "--seeds", "0,1", "--out", out]
    run("coreset", "random", *stage, "--rate", 0.21, "--rounding", "floor", "--balance", "class")
    drawn = [np.load(out / f"seed{seed}.npz")["indices"] for seed in (0, 1)]
    assert [len(indices) for indices in drawn] == [8, 8]
    assert set(drawn[0]) != set(drawn[1])
    run("coreset", "random", *stage, "--rate", 0.001, "--rounding", "nearest", "--balance", "class")
    labels = canonical.load(dataset).train_labels
    one_each = labels[np.load(out / "seed0.npz")["indices"]]
    assert sorted(one_each) == sorted(set(labels))


def test_coresets_of_other_scores_are_refused(folder, dataset, arrays, tmp_path):
    scores = tmp_path / "scores.npz"
    run("score", "el2n", "--dataset", dataset, "--evidence", folder, "--out", scores)
    out = tmp_path / "coresets"
    stage = ["--dataset", dataset, "--rate", 0.3, "--seeds", "0", "--scores", scores, "--out", out]
    with pytest.raises(UserError, match="its method is el2n, not aum"):
        run("coreset", "aum", *stage)
    with pytest.raises(UserError, match="its options is"):
        run("coreset", "el2n", "--set", "epochs=3", *stage)
    with pytest.raises(UserError, match="random does not use scores"):
        run("coreset", "random", *stage)
    other = canonical.load(dataset)
    other.train_images = other.train_images + np.uint8(1)
    other.info.pop("sha256")
    canonical.write(other, dataset)
    with pytest.raises(UserError, match="its dataset_sha256 is"):
        run("coreset", "el2n", *stage)
    assert not out.exists()


def test_evidence_of_other_samples_is_refused(folder, dataset, arrays, tmp_path):
    np.save(folder / "labels.npy", (arrays["labels"] + 1) % C)
    stage = ["--dataset", dataset, "--evidence", folder]
    with pytest.raises(UserError, match="phantom: labels differ"):
        run("score", "el2n", *stage, "--out", tmp_path / "scores.npz")
    with pytest.raises(UserError, match="phantom: labels differ"):
        run("coreset", "el2n", *stage, "--rate", 1, "--seeds", 0, "--out", tmp_path / "coresets")


def test_methods_that_do_not_score_say_so(folder, dataset, tmp_path):
    stage = ["--dataset", dataset, "--evidence", folder, "--out", tmp_path / "scores.npz"]
    with pytest.raises(UserError, match="random does not score"):
        run("score", "random", *stage)


def test_windows_hold_the_scores_of_every_pair(folder, dataset, tmp_path):
    out = tmp_path / "windows.npz"
    stage = ["--dataset", dataset, "--evidence", folder, "--length", 3, "--out", out]
    run("windows", *stage, "--step", 3, "--set", "combine=normalized")
    with np.load(out, allow_pickle=False) as made:
        assert made["scores"].dtype == np.float32
        assert made["scores"].shape == (6, N)
        assert made["pairs"].tolist() == [[1, 4], [1, 7], [1, 10], [4, 7], [4, 10], [7, 10]]
        assert int(made["length"]) == 3
        np.testing.assert_allclose(made["scores"].sum(axis=1), 1, rtol=1e-5)
    before = out.read_bytes()
    run("windows", *stage, "--step", 3, "--set", "combine=normalized")
    assert out.read_bytes() == before
    run("windows", *stage, "--starts", "1,5,6")
    assert np.load(out)["pairs"].tolist() == [[1, 5], [1, 6]]
    for wrong, message in (
        (["--starts", "1,x"], "--starts"),
        (["--starts", "1,11"], "11 to 13"),
        (["--set", "late=3"], "--set late"),
        (["--step", 10], "no two windows"),
    ):
        with pytest.raises(UserError, match=message):
            run("windows", *stage, *wrong)
    assert np.load(out)["pairs"].tolist() == [[1, 5], [1, 6]]
