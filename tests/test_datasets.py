"""From sources to canonical files: digits, MedMNIST's official files, the user's own .npz."""

import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from medcoreset.datasets import canonical, catalog, facts, sources
from medcoreset.datasets.summary import summary
from medcoreset.errors import UserError


def medcoreset(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "medcoreset", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def arrays(**changed: np.ndarray | None) -> dict[str, np.ndarray]:
    """Return a small valid dataset in MedMNIST's layout with some arrays changed or left out."""
    rng = np.random.default_rng(0)
    given = {}
    for split, count in [("train", 12), ("val", 6), ("test", 6)]:
        given[f"{split}_images"] = rng.integers(0, 256, (count, 8, 8), np.uint8)
        given[f"{split}_labels"] = (np.arange(count) % 3).astype(np.uint8)[:, None]
    given.update(changed)
    return {name: array for name, array in given.items() if array is not None}


def assert_equal(one: canonical.Dataset, other: canonical.Dataset) -> None:
    assert one.name == other.name
    assert one.sha256 == other.sha256
    for name in canonical.ARRAYS:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


# --- names ---------------------------------------------------------------------------------------


def test_catalog_is_light():
    code = (
        "import sys, medcoreset.datasets.catalog as c; c.parse('organsmnist_64+train=5'); "
        "sys.exit(any(m in sys.modules for m in ('torch', 'sklearn', 'medmnist', 'requests')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_identity_has_one_spelling():
    assert catalog.parse("digits+train=007").name == "digits+train=7"
    assert catalog.parse("organsmnist_64").name == "organsmnist_64"


@pytest.mark.parametrize(
    ("identity", "said"),
    [
        ("organmnist", "did you mean"),
        ("zzz", "known are digits"),
        ("chestmnist+noise=0.1", "noise is for one label per image, and chestmnist has several"),
        ("organmnist3d_128", "MedMNIST.s volumes at _64"),
        ("digits+train=0", "number of samples, not '0'"),
        ("digits+train=1e3", "number of samples"),
        ("digits+size=8", "unknown option 'size'"),
        ("digits+val=0", "own validation set"),
        ("digits+val=1.5", "fraction"),
        ("digits+train=5+train=6", "given twice"),
        ("organsmnist_28", "unknown dataset"),
    ],
)
def test_wrong_identities(identity, said):
    with pytest.raises(UserError, match=said):
        catalog.parse(identity)


def test_catalog_has_what_medmnist_has():
    from medmnist import INFO

    assert set(INFO) == set(catalog.MEDMNIST)
    for name in catalog.MEDMNIST:
        sizes = {key.partition("_")[2] for key in INFO[name] if key.startswith("MD5_")}
        named = {each.partition("_")[2] for each in catalog.SOURCES if each.startswith(f"{name}_")}
        assert named == sizes


# --- the canonical form --------------------------------------------------------------------------

images = st.one_of(
    hnp.arrays(np.uint8, st.tuples(st.integers(1, 5), st.just(4), st.just(4))),
    hnp.arrays(np.uint8, st.tuples(st.integers(1, 5), st.just(3), st.just(3), st.just(3))),
    hnp.arrays(np.uint8, st.tuples(st.integers(1, 5), st.just(4), st.just(4), st.just(4))),
)


@settings(deadline=None, max_examples=25)
@given(train=images, seed=st.integers(0, 9))
def test_round_trip(tmp_path_factory, train, seed):
    labels = np.random.default_rng(seed).integers(0, 4, len(train))
    dataset = canonical.Dataset("own", train, labels, train[:0], labels[:0], train, labels)
    path = tmp_path_factory.mktemp("round") / "own+val=0.1.npz"
    canonical.write(dataset, path)
    loaded = canonical.load(path)
    assert_equal(loaded, dataset)
    assert (loaded.classes, loaded.channels) == (dataset.classes, dataset.channels)
    volumes = train.ndim == 4 and train.shape[3] == 4
    assert (loaded.channels, loaded.dimensions) == (
        3 if train.shape[3:] == (3,) else 1,
        2 + volumes,
    )
    assert canonical.load_info(path)["dimensions"] == 2 + volumes
    assert loaded.image_size == train.shape[1]
    np.testing.assert_array_equal(canonical.load_labels(path), labels)
    assert canonical.load_info(path)["sha256"] == dataset.sha256
    with np.load(path) as plain:  # the file is numpy's own format, whoever reads it
        np.testing.assert_array_equal(plain["train_images"], train)


def test_loaded_images_are_changed_in_memory_only(tmp_path):
    canonical.write(sources.read("digits"), tmp_path / "digits.npz")
    first = canonical.load(tmp_path / "digits.npz")
    first.train_images[:] = 0
    assert canonical.load(tmp_path / "digits.npz").train_images.any()


def test_equal_datasets_are_equal_bytes(tmp_path):
    for name in "ab":
        canonical.write(sources.read("digits+train=100"), tmp_path / f"{name}.npz")
    for suffix in ("npz", "json"):
        assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()


def test_sha256_is_of_the_content():
    one = sources.read("digits")
    changed = one.test_labels.copy()
    changed[0] = (changed[0] + 1) % 10
    parts = {name: getattr(one, name) for name in (*canonical.ARRAYS, "train_source")}
    other = canonical.Dataset("digits", **{**parts, "test_labels": changed})
    renamed = canonical.Dataset("other", **parts)
    assert one.sha256 != other.sha256
    assert one.sha256 == renamed.sha256


def test_loading_what_is_not_there_or_not_canonical(tmp_path):
    with pytest.raises(UserError, match=r"none\.npz does not exist"):
        canonical.load(tmp_path / "none.npz")
    canonical.write(sources.read("digits"), tmp_path / "digits.npz")
    with (tmp_path / "digits.npz").open("r+b") as file:
        file.truncate(10_000)
    with pytest.raises(UserError, match=r"is not a dataset as .*--forcerun prepare_dataset"):
        canonical.load(tmp_path / "digits.npz")
    np.savez_compressed(tmp_path / "digits.npz", **arrays())
    with pytest.raises(UserError, match="compressed"):
        canonical.load(tmp_path / "digits.npz")


def test_what_was_damaged_since_it_was_made(tmp_path):
    """A bit anywhere among the pixels or labels; the labels alone have the archive's checksum."""
    path = tmp_path / "digits.npz"
    canonical.write(sources.read("digits"), path)
    whole = path.read_bytes()
    for array, loaders in [
        ("test_images", [canonical.load]),
        ("train_labels", [canonical.load, canonical.load_labels]),
    ]:
        content = bytearray(whole)
        content[whole.index(f"{array}.npy".encode()) + 500] ^= 4
        path.write_bytes(content)
        for load in loaders:
            with pytest.raises(
                UserError, match=r"digits\.npz .*--forcerun prepare_dataset"
            ) as told:
                load(path)
            assert len(str(told.value).splitlines()) == 1
    path.write_bytes(whole)
    assert canonical.load(path).sha256 == canonical.load_info(path)["sha256"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is not the description"),
        (b"\x00\xff", "is not the description"),
        (b"[]", "holds no JSON object"),
        (b"{}", "name is None, must be a str"),
        (b'{"name": "a", "sha256": 1}', "sha256 is 1, must be a str"),
    ],
)
def test_description_that_was_damaged(tmp_path, content, said):
    path = tmp_path / "digits.npz"
    canonical.write(sources.read("digits"), path)
    path.with_suffix(".json").write_bytes(content)
    for load in (canonical.load, canonical.load_labels, canonical.load_info):
        with pytest.raises(UserError, match=rf"digits\.json .*{said}.*--forcerun") as told:
            load(path)
        assert len(str(told.value).splitlines()) == 1


def test_a_changed_dataset_is_written_with_its_own_sum(tmp_path):
    path = tmp_path / "digits.npz"
    canonical.write(sources.read("digits"), path)
    changed = canonical.load(path)
    changed.train_images[0] ^= 1
    canonical.write(changed, path)
    np.testing.assert_array_equal(canonical.load(path).train_images[0], changed.train_images[0])


def test_a_label_beyond_all_reason():
    given = arrays(test_labels=np.full(6, 2**40))
    with pytest.raises(UserError, match="1099511627776 is no label"):
        canonical.Dataset("own", **given)


# --- sources -------------------------------------------------------------------------------------


def test_digits_are_scikit_learns():
    from sklearn.datasets import load_digits

    digits = sources.read("digits")
    counts = [len(digits.labels(split)) for split in canonical.SPLITS]
    assert counts == [1078, 360, 359]
    assert (digits.classes, digits.channels, digits.image_size) == (10, 1, 8)
    ours = np.concatenate([digits.images(split) for split in canonical.SPLITS]).reshape(1797, -1)
    theirs = np.round(load_digits().data * 255 / 16).astype(np.uint8)
    assert sorted(map(bytes, ours)) == sorted(map(bytes, theirs))
    shares = np.bincount(digits.train_labels) / np.bincount(load_digits().target)
    np.testing.assert_allclose(shares, 0.6, atol=0.01)


def test_training_subset_is_stratified_and_part_of_the_whole():
    whole, part = sources.read("digits"), sources.read("digits+train=200")
    assert len(part.train_labels) == 200
    assert np.bincount(part.train_labels).min() >= 19
    assert set(map(bytes, part.train_images)) <= set(map(bytes, whole.train_images))
    np.testing.assert_array_equal(part.test_images, whole.test_images)
    with pytest.raises(UserError, match="there are 1078 samples"):
        sources.read("digits+train=5000")
    with pytest.raises(UserError, match="cannot split by class"):
        sources.read("digits+train=3")


@pytest.mark.parametrize(
    ("name", "counts", "channels", "classes"),
    [("pneumoniamnist", (4708, 524, 624), 1, 2), ("retinamnist", (1080, 120, 400), 3, 5)],
)
def test_official_files(medical_data, tmp_path, name, counts, channels, classes):
    dataset = sources.read(name, data_dir=medical_data)
    canonical.write(dataset, tmp_path / f"{name}.npz")
    loaded = canonical.load(tmp_path / f"{name}.npz")
    assert_equal(loaded, dataset)
    assert loaded.info["counts"] == dict(zip(canonical.SPLITS, counts, strict=True))
    assert (loaded.channels, loaded.classes, loaded.image_size) == (channels, classes, 28)
    assert loaded.info["licence"] == "CC BY 4.0"
    with np.load(medical_data / f"{name}.npz") as official:
        np.testing.assert_array_equal(loaded.test_images, official["test_images"])
        np.testing.assert_array_equal(loaded.test_labels, official["test_labels"][:, 0])


def test_official_file_that_is_broken(medical_data, tmp_path):
    content = (medical_data / "retinamnist.npz").read_bytes()
    (tmp_path / "retinamnist.npz").write_bytes(content[:-1000])
    with pytest.raises(UserError, match=r"retinamnist\.npz has MD5 .* not the official bd4c0672"):
        sources.read("retinamnist", data_dir=tmp_path)


def test_official_file_from_a_mirror(medical_data, tmp_path):
    from functools import partial
    from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
    from threading import Thread

    handler = partial(SimpleHTTPRequestHandler, directory=medical_data)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        mirror = f"http://127.0.0.1:{server.server_port}/"
        options = {"mirror": mirror, "cache": tmp_path / "downloads"}
        dataset = sources.read("retinamnist", **options)
        with pytest.raises(UserError, match=r"/organsmnist\.npz: HTTP status 404"):
            sources.read("organsmnist", **options)
        server.shutdown()
    assert_equal(dataset, sources.read("retinamnist", data_dir=medical_data))
    # And from then on without the network.
    assert_equal(dataset, sources.read("retinamnist", **options))


def test_volumes_in_the_official_layout(tmp_path, monkeypatch):
    """As MedMNIST's files of volumes are: (N, 28, 28, 28), labels (N, 1). None of them is at hand."""
    import hashlib

    from medmnist import INFO

    made = sources.read_stand_in("vesselmnist3d", 40, tmp_path)
    parts = {f"{split}_images": made.images(split) for split in canonical.SPLITS}
    parts |= {f"{s}_labels": made.labels(s)[:, None].astype(np.uint8) for s in canonical.SPLITS}
    np.savez_compressed(tmp_path / "vesselmnist3d.npz", **parts)
    counts = {split: len(made.labels(split)) for split in canonical.SPLITS}
    md5 = hashlib.md5((tmp_path / "vesselmnist3d.npz").read_bytes()).hexdigest()
    monkeypatch.setitem(INFO["vesselmnist3d"], "MD5", md5)
    monkeypatch.setitem(INFO["vesselmnist3d"], "n_samples", counts)
    dataset = sources.read("vesselmnist3d", data_dir=tmp_path)
    np.testing.assert_array_equal(dataset.train_images, made.train_images)
    assert (dataset.dimensions, dataset.channels, dataset.classes) == (3, 1, 2)
    assert dataset.info["class_names"] == ["vessel", "aneurysm"]
    assert "grey, volumes, 12 pixels" in summary(dataset)


def rows(n: int, labels: int = 4) -> np.ndarray:
    return np.random.default_rng(n).integers(0, 2, (n, labels), np.uint8)


def several(**changed: np.ndarray) -> dict[str, np.ndarray]:
    labels = {f"{split}_labels": rows(n) for split, n in (("train", 12), ("val", 6), ("test", 6))}
    return arrays(**labels | changed)


def test_several_labels_in_the_official_layout(tmp_path, monkeypatch):
    """As ChestMNIST's file is: labels (N, 14) of 0 and 1. It is not at hand."""
    import hashlib

    from medmnist import INFO

    made = sources.read_stand_in("chestmnist", 40, tmp_path)
    parts = {f"{split}_images": made.images(split) for split in canonical.SPLITS}
    parts |= {f"{s}_labels": made.labels(s).astype(np.uint8) for s in canonical.SPLITS}
    np.savez_compressed(tmp_path / "chestmnist.npz", **parts)
    counts = {split: len(made.labels(split)) for split in canonical.SPLITS}
    md5 = hashlib.md5((tmp_path / "chestmnist.npz").read_bytes()).hexdigest()
    monkeypatch.setitem(INFO["chestmnist"], "MD5", md5)
    monkeypatch.setitem(INFO["chestmnist"], "n_samples", counts)
    dataset = sources.read("chestmnist+train=150", data_dir=tmp_path)
    assert (dataset.multilabel, dataset.classes) == (True, 14)
    assert dataset.info["class_names"][0] == "atelectasis"
    assert dataset.train_labels.shape == (150, 14)
    np.testing.assert_array_equal(dataset.test_labels, made.test_labels)
    canonical.write(dataset, tmp_path / "written.npz")
    assert_equal(canonical.load(tmp_path / "written.npz"), dataset)
    np.testing.assert_array_equal(
        canonical.load_labels(tmp_path / "written.npz"), dataset.train_labels
    )
    assert canonical.load_info(tmp_path / "written.npz")["multilabel"]
    assert "(14 labels, each of " in summary(dataset)


def test_own_data_with_several_labels(tmp_path):
    np.savez(tmp_path / "own.npz", **several())
    dataset = sources.read_own("skin", tmp_path / "own.npz", multilabel=True)
    np.testing.assert_array_equal(dataset.train_labels, rows(12))
    own = {"path": str(tmp_path / "own.npz"), "multilabel": True}
    known = facts.of(catalog.parse("skin", ["skin"]), own)
    assert (known.classes, known.multilabel) == (4, True)
    like = sources.read_stand_in("skin", 9, tmp_path, file=tmp_path / "own.npz", multilabel=True)
    assert like.train_labels.shape == (12, 4)
    with pytest.raises(UserError, match="one label per image is needed"):
        sources.read_own("skin", tmp_path / "own.npz")
    with pytest.raises(UserError, match="noise is for one label per image, and there are several"):
        sources.read_own("skin+noise=0.1", tmp_path / "own.npz", multilabel=True)


def test_a_part_of_data_with_several_labels_is_held_out(tmp_path):
    given = several(val_images=None, val_labels=None)
    np.savez(tmp_path / "own.npz", **given)
    dataset = sources.read_own("skin+val=0.25", tmp_path / "own.npz", multilabel=True)
    assert (dataset.train_labels.shape, dataset.val_labels.shape) == ((9, 4), (3, 4))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"train_labels": np.full((12, 4), 2)}, "image 0 has 2: of several labels each is 0 or 1"),
        ({"train_labels": np.zeros(12, int)}, r"not rows \(N, L\) of 0 and 1"),
        ({"test_labels": rows(6, 5)}, "not all splits have as many labels"),
        ({"train_labels": rows(12) * [1, 1, 0, 1]}, "no train image has label 2"),
        ({"train_labels": rows(12) | [0, 1, 0, 0]}, "every train image has label 1"),
        ({"train_labels": np.eye(4, dtype=int)[np.arange(12) % 4]}, "multilabel is to be false"),
    ],
)
def test_several_labels_that_are_wrong(tmp_path, changed, said):
    np.savez(tmp_path / "own.npz", **several(**changed))
    with pytest.raises(UserError, match=said):
        sources.read_own("skin", tmp_path / "own.npz", multilabel=True)


def test_copies_with_other_labels_are_counted(tmp_path):
    given = several()
    given["train_images"][1] = given["train_images"][0]
    given["train_labels"][:2] = [[1, 0, 0, 1], [1, 0, 0, 0]]
    np.savez(tmp_path / "own.npz", **given)
    dataset = sources.read_own("skin", tmp_path / "own.npz", multilabel=True)
    assert dataset.info["duplicates"] == {"train": 1, "contradictory": 1}


def test_own_volumes(tmp_path):
    volumes = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 8), np.uint8)
    given = arrays(train_images=volumes, val_images=volumes[:6], test_images=volumes[6:])
    np.savez(tmp_path / "own.npz", **given)
    dataset = sources.read_own("scans", tmp_path / "own.npz")
    assert (dataset.dimensions, dataset.image_size, dataset.channels) == (3, 8, 1)
    own = {"path": str(tmp_path / "own.npz")}
    assert facts.of(catalog.parse("scans", ["scans"]), own).dimensions == 3
    like = sources.read_stand_in("scans", 20, tmp_path, file=tmp_path / "own.npz")
    assert like.train_images.shape == (12, 8, 8, 8)


def test_missing_official_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"has no .*organsmnist_64\.npz"):
        sources.read("organsmnist_64", data_dir=tmp_path)


# --- the user's own .npz -------------------------------------------------------------------------


def test_own_npz(tmp_path):
    np.savez_compressed(tmp_path / "own.npz", **arrays())
    dataset = sources.read_own("skin+train=6", tmp_path / "own.npz")
    assert dataset.name == "skin+train=6"
    assert dataset.classes == 3
    np.testing.assert_array_equal(dataset.val_images, arrays()["val_images"])
    np.testing.assert_array_equal(np.bincount(dataset.train_labels), [2, 2, 2])


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"val_labels": None}, "own.npz has no val_labels"),
        ({"train_images": np.zeros((12, 8, 8))}, "train_images is float64"),
        ({"test_images": np.zeros((6, 9, 9), np.uint8)}, "test_images are"),
        ({"test_images": np.zeros((6, 8, 8, 3), np.uint8)}, "test_images are"),
        ({"train_images": np.zeros((12, 8, 9), np.uint8)}, "size, size"),
        ({"train_images": np.zeros((12, 64), np.uint8)}, "size, size"),
        ({"train_images": np.zeros((12, 8, 8, 2), np.uint8)}, "size, size"),
        ({"train_images": np.zeros((12, 8, 8, 8), np.uint8)}, "test_images are|val_images are"),
        ({"test_images": np.zeros((5, 8, 8), np.uint8)}, "5 images but 6 labels"),
        ({"test_labels": np.zeros((6, 14), np.uint8)}, "one label per image"),
        ({"val_labels": np.full(6, -1)}, "negative label"),
        ({"train_labels": np.array([{}] * 12)}, "Python objects"),
    ],
)
def test_own_npz_that_is_wrong(tmp_path, changed, said):
    np.savez(tmp_path / "own.npz", **arrays(**changed))
    with pytest.raises(UserError, match=said):
        sources.read_own("skin", tmp_path / "own.npz")


def test_labels_beyond_the_classes():
    given = arrays()
    with pytest.raises(UserError, match="label 2, but there are 2 classes"):
        canonical.Dataset("own", **given, info={"class_names": ["a", "b"]})


@pytest.mark.parametrize("name", ["Skin", "../skin", "digits", "chestmnist", ""])
def test_own_names(tmp_path, name):
    with pytest.raises(UserError, match="dataset name"):
        sources.read_own(name, tmp_path / "own.npz")


# --- the command line ----------------------------------------------------------------------------


def test_command(tmp_path):
    out = tmp_path / "data" / "digits.npz"
    done = medcoreset("dataset", "digits", "--out", out)
    assert done.returncode == 0, done.stderr
    assert json.loads(out.with_suffix(".json").read_text())["counts"]["train"] == 1078


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04 broken"])
def test_command_says_one_line_and_leaves_nothing(tmp_path, content):
    (tmp_path / "own.npz").write_bytes(content)
    out = tmp_path / "data" / "skin.npz"
    done = medcoreset("dataset", "skin", "--file", tmp_path / "own.npz", "--out", out)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "own.npz is not a readable .npz file" in done.stderr
    assert not out.parent.exists()
