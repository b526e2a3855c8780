"""A coreset leads back to files and identifiers: in its own file, in lists, and as a folder of links."""

import csv

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import medcoreset
from medcoreset.__main__ import cli
from medcoreset.errors import UserError


def run(*arguments):
    found = CliRunner().invoke(cli, list(map(str, arguments)), catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return found.output


@pytest.fixture(scope="module")
def skin(tmp_path_factory):
    """A folder of images, the dataset of it, and two coresets of that."""
    place = tmp_path_factory.mktemp("skin")
    for label, name in enumerate(("benign", "malignant")):
        (place / "images" / name).mkdir(parents=True)
        for number in range(30):
            image = np.full((8, 8), 100 * label + number, np.uint8)
            Image.fromarray(image).save(place / "images" / name / f"{number:02}.png")
    given = ("--folder", place / "images", "--image-size", 8, "--out", place / "skin.npz")
    run("dataset", "skin", *given)
    coreset = ("random", "--dataset", place / "skin.npz", "--rate", 0.2, "--seeds", "0,7")
    run("coreset", *coreset, "--list", place / "both.csv", "--out", place / "coresets")
    return place


def test_a_coreset_of_a_folder_has_its_paths(skin):
    dataset = np.load(skin / "skin.npz")
    for seed in (0, 7):
        found = medcoreset.load_coreset(skin / "coresets" / f"seed{seed}.npz")
        assert found.root == str(skin / "images")
        for index, path in zip(found.indices, found.paths, strict=True):
            image = np.asarray(Image.open(skin / "images" / path))
            np.testing.assert_array_equal(dataset["train_images"][index], image)
        # ImageFolder lists 30 of the one class, then 30 of the other.
        of_class = np.char.startswith(found.paths, "malignant")
        np.testing.assert_array_equal(of_class, found.source_indices >= 30)
    with (skin / "both.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["seed", "indices", "source_indices", "paths"]
    assert [row["paths"] for row in rows if row["seed"] == "7"] == found.paths.tolist()


@pytest.mark.parametrize("copy", [False, True])
def test_a_folder_of_its_files(skin, tmp_path, copy):
    file, out = skin / "coresets" / "seed0.npz", tmp_path / "a folder"
    run("materialize", file, "--out", out, *(["--copy"] if copy else []))
    made = sorted(path.relative_to(out).as_posix() for path in out.rglob("*.png"))
    assert made == sorted(medcoreset.load_coreset(file).paths.tolist())
    for path in out.rglob("*.png"):
        assert path.is_symlink() != copy
        original = skin / "images" / path.relative_to(out)
        assert path.read_bytes() == original.read_bytes()
    with pytest.raises(UserError, match="is not empty: choose another folder"):
        run("materialize", file, "--out", out)


def test_what_cannot_be_materialized(skin, tmp_path):
    run("dataset", "digits", "--out", tmp_path / "digits.npz")
    coreset = ("random", "--dataset", tmp_path / "digits.npz", "--rate", 0.1, "--seeds", 0)
    run("coreset", *coreset, "--list", tmp_path / "d.txt", "--out", tmp_path / "coresets")
    file = tmp_path / "coresets" / "seed0.npz"
    listed = [int(line) for line in (tmp_path / "d.txt").read_text().split()]
    assert listed == medcoreset.load_coreset(file).source_indices.tolist()
    with pytest.raises(UserError, match="the coreset is not of files"):
        run("materialize", file, "--out", tmp_path / "files")
    arrays = dict(np.load(skin / "coresets" / "seed0.npz"))
    for path, said in (("../x.png", "is not below"), ("benign/99.png", "is not there any more")):
        arrays["paths"][0] = path
        np.savez(tmp_path / "changed.npz", **arrays)
        with pytest.raises(UserError, match=said):
            run("materialize", tmp_path / "changed.npz", "--out", tmp_path / "files")
        assert not (tmp_path / "files").exists()


@pytest.mark.parametrize("ids", [np.array(["a", "é b", "c", "d"]), np.array([40, 10, 30, 20])])
def test_names_that_evidence_has_come_out(tmp_path, ids):
    arrays = {"labels": np.array([0, 1, 0, 1]), "features": np.eye(4), "sample_ids": ids}
    np.savez(tmp_path / "evidence.npz", **arrays)
    given = ("kcenter_greedy", tmp_path / "evidence.npz", "--count", 3)
    run("select", *given, "--list", tmp_path / "l.txt", "--out", tmp_path / "one.npz")
    found = medcoreset.load_coreset(tmp_path / "one.npz")
    assert found.sample_ids.tolist() == ids[found.indices].tolist()
    assert (tmp_path / "l.txt").read_text().splitlines() == [str(i) for i in ids[found.indices]]
    run("select", *given, "--list", tmp_path / "l.csv", "--out", tmp_path / "one.npz")
    assert (tmp_path / "l.csv").read_text().startswith("seed,indices,sample_ids\n0,")
    in_memory = medcoreset.select("kcenter_greedy", arrays, count=3)
    np.testing.assert_array_equal(in_memory.sample_ids, found.sample_ids)


def test_lists_that_cannot_be_written(skin, tmp_path):
    given = ("coreset", "random", "--dataset", skin / "skin.npz", "--rate", 0.2, "--seeds", "0,7")
    for name, said in (
        ("a.json", r"the name is to end in \.txt or \.csv"),
        ("a.txt", r"a \.txt lists one coreset, and there are 2 seeds"),
    ):
        with pytest.raises(UserError, match=said):
            run(*given, "--list", tmp_path / name, "--out", tmp_path / "coresets")
        assert not (tmp_path / "coresets").exists()


def test_names_that_do_not_fit_are_refused(tmp_path):
    np.savez(tmp_path / "own.npz", indices=np.arange(3), sample_ids=np.arange(2))
    with pytest.raises(UserError, match=r"sample_ids is \(2,\), but it is to be \(3,\)"):
        medcoreset.load_coreset(tmp_path / "own.npz")
    with pytest.raises(UserError, match="data type float64, but it is to be integer or text"):
        medcoreset.Evidence({"labels": np.arange(3), "sample_ids": np.ones(3)})
