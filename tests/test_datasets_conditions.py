"""Training sets under conditions, against their definitions counted sample by sample."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medcoreset import methods
from medcoreset.datasets import canonical, catalog, conditions, facts, sources
from medcoreset.datasets.catalog import Conditions
from medcoreset.datasets.series import series_of
from medcoreset.datasets.streaming import StreamedImages
from medcoreset.errors import UserError
from medcoreset.study import feasible
from tests.test_datasets import medcoreset


def stream(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


@given(
    n=st.integers(1, 400),
    classes=st.integers(2, 12),
    noise=st.integers(0, 60),
    asymmetric=st.integers(0, 39),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=60)
def test_exactly_the_share_of_labels_is_wrong(n, classes, noise, asymmetric, seed):
    labels = stream(seed).integers(0, classes, n)
    before = labels.copy()
    given_ = Conditions(noise=noise / 100, asymmetric=asymmetric / 100)
    noisy = conditions.with_noise(labels, classes, given_, stream(seed))
    wrong = [i for i in range(n) if noisy[i] != labels[i]]
    halves = [(share * n + 50) // 100 for share in (noise, asymmetric)]
    assert len(wrong) == sum(halves)
    assert all(0 <= label < classes for label in noisy)
    assert np.array_equal(labels, before)
    to_next = [i for i in wrong if noisy[i] == (labels[i] + 1) % classes]
    assert len(to_next) >= halves[1]
    if not noise:
        assert to_next == wrong


def test_every_other_class_is_as_likely():
    labels = np.repeat([0, 1, 2, 3], 10_000)
    noisy = conditions.with_noise(labels, 4, Conditions(noise=0.6), stream(0))
    counts = np.zeros((4, 4), int)
    np.add.at(counts, (labels, noisy), 1)
    assert (labels != noisy).sum() == 24_000
    others = counts[~np.eye(4, dtype=bool)]
    # 2000 are expected in each, of a deviation of about 43
    assert (abs(others - 2000) < 5 * 43).all()


@pytest.mark.parametrize("kind", ["noise", "asymmetric"])
def test_a_smaller_share_is_a_part_of_a_larger_one(kind):
    labels = stream(1).integers(0, 7, 999)
    noisy = [
        conditions.with_noise(labels, 7, Conditions(**{kind: share}), stream(2))
        for share in (0.1, 0.2, 0.4)
    ]
    for less, more in pairwise(noisy):
        wrong = less != labels
        assert np.array_equal(less[wrong], more[wrong])
        assert (more != labels).sum() > wrong.sum()


def test_other_seeds_make_others_wrong_and_the_same_seed_the_same():
    names = ("digits+noise=0.2", "digits+condition_seed=1+noise=0.2", "digits+noise=0.2")
    first, second, again = map(sources.read, names)
    assert first.sha256 == again.sha256
    assert first.corrupted.sum() == second.corrupted.sum() == round(0.2 * 1078)
    assert not np.array_equal(first.corrupted, second.corrupted)


@given(
    sizes=st.lists(st.integers(0, 300), min_size=1, max_size=12).filter(any),
    ratio=st.floats(0.001, 1),
)
@settings(max_examples=100)
def test_a_long_tail_is_a_geometric_series_that_the_classes_allow(sizes, ratio):
    tail = conditions.long_tail(np.array(sizes), ratio)
    assert all(kept <= size for kept, size in zip(tail, sizes, strict=True))
    order = sorted((c for c in range(len(sizes)) if sizes[c]), key=lambda c: (-sizes[c], c))
    shares = [ratio ** (k / max(len(order) - 1, 1)) for k in range(len(order))]
    largest = min(sizes[c] / share for c, share in zip(order, shares, strict=True))
    for c, share in zip(order, shares, strict=True):
        assert abs(tail[c] - largest * share) <= 0.5 + 1e-6
    # No class has more to give: one of them is kept whole.
    assert any(abs(sizes[c] - largest * s) < 1e-6 for c, s in zip(order, shares, strict=True))


def test_long_tails_of_cifar_and_of_unequal_classes():
    # Cui et al.: CIFAR-10 with an imbalance factor of 100
    tail = conditions.long_tail(np.full(10, 5000), 0.01)
    assert tail.tolist() == [5000, 2997, 1797, 1077, 646, 387, 232, 139, 83, 50]
    assert conditions.long_tail(np.array([1214, 3494]), 1).tolist() == [1214, 1214]
    assert conditions.long_tail(np.array([1214, 3494]), 0.1).tolist() == [349, 3494]


@given(
    labels=st.lists(st.integers(0, 4), min_size=1, max_size=120),
    share=st.integers(0, 60),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=100)
def test_copies_take_the_place_of_others_of_their_class(labels, share, seed):
    labels = np.array(labels)
    try:
        places = conditions.copied(labels, share / 100, stream(seed), name="x")
    except UserError:
        sizes = np.bincount(labels)
        most = sum(max(size - 1, 0) for size in sizes)
        assert (share * len(labels) + 50) // 100 > most
        return
    assert np.array_equal(labels[places], labels)
    distinct = sorted(set(places.tolist()))
    assert len(labels) - len(distinct) == (share * len(labels) + 50) // 100
    assert all(places[i] == i for i in distinct)
    times = np.unique(places, return_counts=True)[1]
    per_class = [set(times[labels[distinct] == label].tolist()) for label in set(labels.tolist())]
    assert all(max(each) - min(each) <= 1 for each in per_class), "copied in turn"


CHANGED = "digits+asymmetric=0.1+duplicates=0.1+imbalance=0.2+noise=0.2"


def test_only_the_training_set_changes_and_the_record_says_how():
    clean, dataset = sources.read("digits"), sources.read(CHANGED)
    for split in ("val", "test"):
        assert np.array_equal(dataset.images(split), clean.images(split))
        assert np.array_equal(dataset.labels(split), clean.labels(split))
    origin = dataset.train_origin
    assert np.array_equal(dataset.train_images, clean.train_images[origin])
    assert np.array_equal(dataset.train_true_labels, clean.train_labels[origin])
    assert np.array_equal(dataset.corrupted, dataset.train_labels != clean.train_labels[origin])
    kept = conditions.long_tail(np.bincount(clean.train_labels), 0.2).sum()
    assert len(origin) == kept
    assert len(set(origin.tolist())) == kept - round(0.1 * kept)
    for place in set(origin.tolist()):  # copies have the label of what they copy, right or wrong
        assert len(set(dataset.train_labels[origin == place].tolist())) == 1
    assert dataset.info["changed"]["train_wrong"] == dataset.corrupted.sum()
    assert dataset.info["clean_sha256"] == clean.sha256


def test_the_validation_labels_are_noisy_if_asked_for():
    clean = sources.read("digits")
    dataset = sources.read("digits+noise=0.2+noisy_val=true")
    assert (dataset.val_labels != clean.val_labels).sum() == 72
    assert np.array_equal(dataset.val_true_labels, clean.val_labels)
    assert np.array_equal(dataset.test_labels, clean.test_labels)


def test_the_record_is_kept_in_the_canonical_file(tmp_path):
    dataset = sources.read(CHANGED)
    canonical.write(dataset, tmp_path / "data.npz")
    read = canonical.load(tmp_path / "data.npz")
    assert read.sha256 == dataset.sha256
    for name in canonical.RECORD:
        assert np.array_equal(getattr(read, name), getattr(dataset, name))
    canonical.write(sources.read("digits"), tmp_path / "clean.npz")
    assert canonical.load(tmp_path / "clean.npz").corrupted is None


def test_a_record_is_whole_or_not_there():
    digits = sources.read("digits")
    parts = {
        f"{s}_{k}": getattr(digits, f"{s}_{k}")
        for s in canonical.SPLITS
        for k in ("images", "labels")
    }
    with pytest.raises(UserError, match="val_true_labels is missing"):
        canonical.Dataset("x", **parts, train_true_labels=digits.train_labels)


def test_in_two_steps_as_in_one(tmp_path):
    clean, one, two = (tmp_path / f"{name}.npz" for name in ("clean", "one", "two"))
    assert medcoreset("dataset", "digits", "--out", clean).returncode == 0
    assert medcoreset("dataset", CHANGED, "--out", one).returncode == 0
    done = medcoreset("dataset", CHANGED, "--clean", clean, "--out", two)
    assert done.returncode == 0, done.stderr
    assert "wrong train labels" in done.stdout
    assert one.read_bytes() == two.read_bytes()
    assert one.with_suffix(".json").read_bytes() == two.with_suffix(".json").read_bytes()
    other = medcoreset("dataset", "digits+noise=0.1+train=600", "--clean", clean, "--out", two)
    assert other.returncode == 2
    assert "is digits, not digits+train=600" in other.stderr


def test_own_data(tmp_path):
    random = stream(0)
    arrays = {}
    for split, size in (("train", 200), ("test", 40)):
        arrays[f"{split}_images"] = random.integers(0, 256, (size, 8, 8), np.uint8)
        arrays[f"{split}_labels"] = np.arange(size) % 4
    np.savez(tmp_path / "own.npz", **arrays)
    dataset = sources.read_own("mine+imbalance=0.5+noise=0.1+noisy_val=true", tmp_path / "own.npz")
    assert dataset.corrupted.sum() == conditions.nearest(0.1 * len(dataset.train_labels))
    assert (dataset.val_labels != dataset.val_true_labels).sum() == 2
    known = facts.of(catalog.parse(dataset.name, ["mine"]), {"path": str(tmp_path / "own.npz")})
    assert known.train == len(dataset.train_labels)


def test_streamed_images_stay_in_their_files(tmp_path):
    made = sources.read_stand_in("imagenet+duplicates=0.1+noise=0.2", 1, tmp_path / "images")
    assert isinstance(made.train_images, StreamedImages)
    assert len(np.unique(made.train_images.paths)) == len(made.train_labels) * 0.9
    canonical.write(made, tmp_path / "data.npz")
    assert canonical.load(tmp_path / "data.npz").sha256 == made.sha256


@pytest.mark.parametrize(
    "name",
    [
        "fashionmnist+imbalance=0.01+train=6000",
        "pneumoniamnist+imbalance=0.01+noise=0.4",
        "cifar100+noise=0.4",
    ],
)
def test_stand_ins_have_every_class_under_conditions(name, tmp_path):
    made = sources.read_stand_in(name, 20, tmp_path)
    assert len(made.train_labels) >= 20
    assert set(made.train_labels) == set(range(made.classes))
    assert made.name == name


def test_facts_count_what_imbalance_leaves(medical_data):
    for name in ("pneumoniamnist+imbalance=0.1", "digits+imbalance=0.1"):
        known = facts.of(catalog.parse(name), None)
        assert abs(known.train - len(sources.read(name, data_dir=medical_data).train_labels)) <= 2


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("digits+noise=1.5", r"noise is a share of the training samples in \[0, 1\), not '1.5'"),
        ("digits+noise=1", "noise is a share"),
        ("digits+noise=nan", "noise is a share"),
        ("digits+asymmetric=-0.1", "asymmetric is a share"),
        ("digits+imbalance=0", "imbalance is smallest class over largest"),
        ("digits+imbalance=100", r"in \(0, 1\], not '100'"),
        ("digits+duplicates=10%", "duplicates is a share"),
        ("digits+noise=0.6+asymmetric=0.4", "together to be under 1"),
        ("digits+noisy_val=true", "is for noise or asymmetric"),
        ("digits+noise=0.1+noisy_val=yes", "noisy_val is true or false"),
        ("cifar10+noise=0.1+noisy_val=true+val=0", "there are no validation data"),
        ("digits+condition_seed=1", "condition_seed is for one of"),
        ("digits+noize=0.1", "unknown option 'noize'; options are train, val, stream, noise"),
    ],
)
def test_mistakes_are_one_line(name, said):
    with pytest.raises(UserError, match=said) as raised:
        catalog.parse(name)
    assert "\n" not in str(raised.value)


def test_names_have_one_spelling():
    spelled = {
        "digits+noise=0": "digits",
        "digits+noisy_val=false": "digits",
        "digits+noise=2e-1": "digits+noise=0.2",
        "digits+noise=0.2+imbalance=1": "digits+imbalance=1+noise=0.2",
    }
    for given_, name in spelled.items():
        assert catalog.parse(given_).name == name
        assert catalog.parse(name).name == name
    assert catalog.parse(CHANGED).clean.name == "digits"
    assert catalog.conditions_of("mine+noise=0.2").noise == 0.2
    label = catalog.label(catalog.parse("digits+imbalance=0.1+noise=0.2"))
    assert label == "Digits (20 % label noise, imbalance 0.1)"


def test_a_tail_without_an_image_is_refused_beforehand_and_in_the_job():
    with pytest.raises(UserError, match=r"imbalance=0\.001 of classes of 108 images at most"):
        feasible.check_split("digits+imbalance=0.001", {})
    with pytest.raises(UserError, match=r"imbalance=0\.001 .* leaves one without an image"):
        sources.read("digits+imbalance=0.001")


def test_a_class_that_loses_its_label_is_refused():
    digits = sources.read("digits")
    few = np.concatenate([np.flatnonzero(digits.train_labels == label)[:1] for label in range(10)])
    small = canonical.Dataset(
        "digits",
        digits.train_images[few],
        digits.train_labels[few],
        digits.val_images,
        digits.val_labels,
        digits.test_images,
        digits.test_labels,
    )
    with pytest.raises(UserError, match="no training sample is left with the label"):
        conditions.applied(small, catalog.parse("digits+noise=0.5"))


@pytest.mark.parametrize(
    ("figure", "names", "said"),
    [
        ("accuracy_over_condition", ["digits", "mnist"], "two datasets that differ in noise, "),
        ("accuracy_over_condition", ["digits", "digits+imbalance=0.1"], "two datasets that differ"),
        ("detection", ["digits+imbalance=0.1"], "a dataset with wrong labels"),
    ],
)
def test_figures_of_other_datasets_are_refused_beforehand(figure, names, said):
    rows = {"el2n": methods.get("el2n")}
    with pytest.raises(UserError, match=f"figures: {figure} is drawn of {said}"):
        feasible.check_figure(figure, rows, True, names)
    feasible.check_figure(figure, rows, True, ["digits", "digits+noise=0.1"])


def test_detection_needs_a_ranking():
    rows = {"ccs": methods.get("ccs"), "random": methods.get("random")}
    with pytest.raises(UserError, match="detection is drawn from rankings"):
        feasible.check_figure("detection", rows, True, ["digits+noise=0.1"])


def test_series_differ_in_one_condition_alone():
    names = ["digits", "digits+noise=0.4", "digits+imbalance=0.1+noise=0.4", "digits+noise=0.1"]
    (found,) = series_of(names)
    assert (found.condition, found.label) == ("noise", "Digits")
    assert found.values == {"digits": 0, "digits+noise=0.1": 0.1, "digits+noise=0.4": 0.4}


@pytest.mark.long
def test_the_real_workflow_prepares_the_clean_set_once(snakemake, tmp_path):
    from tests.studies import write_experiment

    names = ["digits", "digits+noise=0.2", "digits+imbalance=0.1+noise=0.2"]
    figures = ["accuracy_over_condition", "detection", "data_map"]
    rows = {"random": {}, "el2n": {"epochs": 2}}
    content = {"datasets": names, "methods": rows, "figures": figures}
    study = write_experiment(tmp_path / "study", "noisy", **content)
    arguments = ("noisy", "--config", f"studies=['{study}']")
    outcome = snakemake(tmp_path, *arguments)
    assert outcome.returncode == 0, outcome.stderr[-5000:]
    logs = tmp_path / "results" / "logs"
    assert [path.name for path in (logs / "prepare_dataset").iterdir()] == ["digits.log"]
    made = {path.stem for path in (logs / "change_dataset").iterdir()}
    assert made == set(names[1:])
    dataset = canonical.load(tmp_path / "results" / "data" / f"{names[1]}.npz")
    assert dataset.sha256 == sources.read(names[1]).sha256
    again = snakemake(tmp_path, *arguments, "-n")
    assert "Nothing to be done" in again.stdout + again.stderr
    made = tmp_path / "results" / "experiments" / "noisy"
    assert all((made / f"{figure}.svg").stat().st_size for figure in figures)
    assert set(pd.read_csv(made / "detection.csv")["dataset"]) == set(names[1:])
    check_table(made)
    wrong = snakemake(
        tmp_path,
        *arguments,
        "-n",
        "--config",
        f"studies=['{write_experiment(tmp_path / 'wrong', 'noisy', datasets=['digits+noise=1.5'])}']",
    )
    assert wrong.returncode != 0
    (line,) = [line for line in (wrong.stdout + wrong.stderr).splitlines() if "1.5" in line]
    assert "noisy.yaml: datasets: dataset 'digits+noise=1.5': noise is a share" in line


def check_table(folder: Path) -> None:
    """Columns of the table against the coresets and predictions themselves."""
    table = pd.read_csv(folder / "table.csv")
    wrong = table[table["metric"] == "wrong_labels"].set_index(["dataset", "method"])["mean"]
    assert len(wrong) == 2 * 2, "of the two changed datasets alone"
    results = folder.parents[1]
    dataset = canonical.load(results / "data" / "digits+noise=0.2.npz")
    (path,) = results.glob("coresets/digits+noise=0.2/*/*/el2n*/0.1/*/seed0.npz")
    indices = np.load(path)["indices"]
    share = 100 * np.mean([dataset.corrupted[i] for i in indices])
    assert wrong["digits+noise=0.2", "el2n"] == pytest.approx(share)
    (run,) = results.glob("runs/digits+noise=0.2/*/*/el2n*/0.1/*/*/predictions.npz")
    with np.load(run) as predictions:
        right = predictions["test_logits"][0].argmax(1) == predictions["test_labels"]
        recalls = [right[predictions["test_labels"] == label].mean() for label in range(10)]
    of_run = table[(table["dataset"] == "digits+noise=0.2") & (table["method"] == "el2n")]
    means = of_run.set_index("metric")["mean"]
    assert means["worst_recall"] == pytest.approx(100 * min(recalls))
    assert means["balanced_accuracy"] == pytest.approx(100 * np.mean(recalls))
    text = (folder / "table.md").read_text()
    for title in ("Balanced accuracy; tiny", "Worst-class recall; tiny", "Wrong labels; tiny"):
        assert f"## {title}" in text
    assert "Repeated samples" not in text
