"""Evidence of a user's own loop: what is wrong with it is one line, in an .npz and in a folder alike."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medcoreset import methods
from medcoreset.errors import UserError
from medcoreset.evidence import Evidence, checks, statistics
from medcoreset.evidence.arrays import ARRAYS
from medcoreset.selection.select import Selection, select
from tests.any_evidence import options_for

T, N, C = 12, 90, 3


def trained() -> dict[str, np.ndarray]:
    """Return arrays of all kinds, of a model that becomes surer of its labels."""
    rng = np.random.default_rng(0)
    labels = np.arange(N) % C
    towards = np.linspace(0, 4, T)[:, None, None] * np.eye(C)[labels]
    logits = rng.normal(size=(T, N, C)) + towards
    p = statistics.softmax(logits)
    arrays = {name: of(p, labels) for name, of in statistics.STATISTICS.items()}
    arrays["logit_margin"] = statistics.margin(logits, labels)
    last = {"logits": logits[-1], "final_probs": p[-1], "features": rng.normal(size=(N, 4))}
    norms = {"gradient_norms": rng.random((2, N)), "perturbations": rng.random(N)}
    return {"labels": labels, "probs": p, "log_probs": np.log(p), **arrays, **last, **norms}


ALL = trained()


def saved(form: str, arrays: dict[str, np.ndarray], folder: Path) -> Path:
    """Write arrays as an .npz or as a folder of .npy, and return where."""
    if form == "npz":
        np.savez(folder / "mine.npz", **arrays)
        return folder / "mine.npz"
    (folder / "mine").mkdir()
    for name, array in arrays.items():
        np.save(folder / "mine" / f"{name}.npy", array)
    return folder / "mine"


def given_to(method: str) -> dict:
    """Return options that fit so few epochs; EVA's windows hold those with something wrong."""
    windows = {"early": 1, "late": 3, "length": 2} if method == "eva" else {}
    return options_for(methods.get(method), T) | windows


def selected(method: str, path: Path, **options) -> Selection:
    return select(methods.get(method), Evidence.load(path), 9, options=given_to(method) | options)


def put(name: str, where: tuple[int, ...], value: float) -> dict[str, np.ndarray]:
    array = ALL[name].astype(np.float64)
    array[where] = value
    return {name: array}


# What is given in place of the right arrays, the method that looks at it, and what it is told.
SIGMOID = 1 / (1 + np.exp(-ALL["log_probs"]))
WRONG = {
    "logits as probs": ({"probs": ALL["log_probs"] + 3}, "el2n", "look like logits"),
    "percentages": ({"probs": 100 * ALL["probs"]}, "aum", "look like percentages"),
    "sigmoids": ({"probs": SIGMOID}, "forgetting", "sigmoids"),
    "logarithms as probs": ({"probs": ALL["log_probs"]}, "el2n", "look like log-probabilities"),
    "probs as logarithms": ({"log_probs": ALL["probs"]}, "el2n", "to be saved as probs"),
    "logits as logarithms": ({"log_probs": ALL["log_probs"] + 3}, "aum", "log_softmax"),
    "NaN": (put("probs", (1, 7, 1), np.nan), "eva", "probs[1, 7] has NaN"),
    "infinite": (put("probs", (3, 8, 1), np.inf), "eva", "probs[3, 8] has infinite values"),
    "no sum": (put("probs", (0, 89, 0), 0.5), "el2n", "probs[0, 89] adds up to"),
    "negative": ({"probs": ALL["probs"] + [0.5, -0.5, 0]}, "el2n", "are not negative"),
    "probs as logits": ({"logits": ALL["final_probs"]}, "entropy", "saved as final_probs"),
    "logits as final": ({"final_probs": ALL["logits"]}, "entropy", "look like logits"),
    "infinite logits": (put("logits", (7, 1), np.inf), "entropy", "logits[7, 1] has infinite"),
    "error_norm": (put("error_norm", (0, 3), 2), "el2n", "error_norm[0, 3] is 2, but"),
    "error_norm < 0": (put("error_norm", (1, 4), -1), "eva", "from 0 to 1.41421"),
    "margin": (put("margin", (11, 0), 2.5), "aum", "margin[11, 0] is 2.5, but"),
    "margin of logits": ({"margin": ALL["logit_margin"]}, "aum", "from -1 to 1"),
    "correct": (put("correct", (4, 4), 2), "forgetting", "float64"),
    "correct as int": ({"correct": 2 * ALL["correct"]}, "forgetting", "is 0 or 1"),
    "error_norm NaN": (put("error_norm", (3, 9), np.nan), "eva", "error_norm[3, 9] has NaN"),
    "huge": (put("features", (5, 1), 1e200), "kcenter_greedy", "features[5, 1] is 1e+200"),
    "huge, negative": (put("features", (5, 1), -1e200), "herding", "what float32 holds"),
    "norms": (put("gradient_norms", (1, 3), -1), "grand", "is -1, but"),
    "perturbations": (put("perturbations", (3,), -1), "deepfool", "0 or more"),
    "sample-major": ({"probs": ALL["probs"].swapaxes(0, 1)}, "el2n", "as is axis 0 here"),
    "class-major": ({"probs": ALL["probs"].swapaxes(1, 2)}, "el2n", "as is axis 2 here"),
    "transposed": ({"error_norm": ALL["error_norm"].T}, "el2n", "as is axis 0 here"),
    "one epoch": ({"probs": ALL["probs"][0]}, "el2n", "probs has shape (90, 3)"),
    "one class": ({"probs": ALL["probs"][..., :1]}, "el2n", "save both columns"),
    "no epoch": ({"probs": ALL["probs"][:0]}, "el2n", "probs"),
    "no feature": ({"features": ALL["features"][:, :0]}, "herding", "features"),
    "objects": ({"probs": np.array([None, 1])}, "el2n", "probs"),
    "complex": ({"probs": ALL["probs"].astype(complex)}, "el2n", "complex128"),
    "texts": ({"labels": ALL["labels"].astype(str)}, "el2n", "labels has the data type <U"),
    "reals": ({"labels": ALL["labels"] * 1.0}, "el2n", "float64, but it is to be integer"),
    "labels from 1": ({"labels": ALL["labels"] + 1}, "el2n", "labels[2] is 3, out of range"),
    "a column": ({"labels": ALL["labels"][:, None]}, "el2n", "labels has shape (90, 1)"),
    "one-hot": ({"labels": np.eye(C, dtype=int)[ALL["labels"]]}, "el2n", "shape (90, 3)"),
    "labels by epoch": ({"labels": np.tile(ALL["labels"], (T, 1))}, "el2n", "shape (12, 90)"),
    "seen": ({"seen": 255 * np.ones((T, N), np.uint8)}, "el2n", ", 0] is 255"),
}  # fmt: skip
READ = ("probs", "log_probs", "error_norm", "margin", "correct", "logits", "final_probs")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("form", ["npz", "folder"])
@pytest.mark.parametrize("what", WRONG)
def test_wrong_evidence_is_named_in_both_forms(tmp_path, form, what):
    changes, method, message = WRONG[what]
    rest = {"labels", "gradient_norms", "perturbations", "features"}
    rest |= {"probs"} - set(READ if set(changes) & set(READ) else ())
    path = saved(form, {name: ALL[name] for name in rest} | changes, tmp_path)
    with pytest.raises(UserError) as mistake:
        selected(method, path)
    assert message in str(mistake.value)
    assert "mine" in str(mistake.value)
    assert len(str(mistake.value).splitlines()) == 1


RIGHT = {
    "as it is": lambda a: a,
    "float16": lambda a: a.astype(np.float16) if a.dtype.kind == "f" else a,
    "big-endian": lambda a: a.astype(a.dtype.newbyteorder(">")),
    "Fortran order": np.asfortranarray,
    "not contiguous": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
}


@pytest.mark.parametrize("form", ["npz", "folder"])
@pytest.mark.parametrize("what", RIGHT)
def test_right_evidence_in_any_layout_is_the_same(tmp_path, form, what, capfd):
    arrays = {name: RIGHT[what](array) for name, array in ALL.items()}
    path = saved(form, arrays, tmp_path)
    for method in ("el2n", "eva", "aum", "forgetting", "entropy", "herding", "grand", "deepfool"):
        found = selected(method, path)
        if what != "float16":
            expected = select(methods.get(method), Evidence(ALL), 9, options=given_to(method))
            np.testing.assert_array_equal(found.indices, expected.indices)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("name", [name for name in ARRAYS if name in ALL and name != "labels"])
def test_every_array_of_a_trained_model_is_within_its_bounds(name):
    checks.values("mine", name, ALL[name].astype(np.float16), classes=C)


def test_a_value_that_is_not_used_is_not_read(tmp_path):
    path = saved("folder", {"labels": ALL["labels"]} | put("probs", (9, 7, 1), np.nan), tmp_path)
    assert len(selected("eva", path).indices) == 9
    with pytest.raises(UserError, match=r"probs\[9, 7\] has NaN"):
        selected("aum", path)


def test_a_part_is_checked_under_the_numbers_of_the_whole(tmp_path):
    path = saved(
        "folder", put("features", (60, 1), np.inf) | put("error_norm", (1, 50), 7), tmp_path
    )
    evidence = Evidence.load(path)
    assert len(evidence.take(np.array([3, 59]))["features"]) == 2
    part = evidence.take(np.array([70, 60, 50]))
    with pytest.raises(UserError, match=r"features\[60, 1\] has infinite"):
        part["features"]
    with pytest.raises(UserError, match=r"error_norm\[1, 50\] is 7"):
        part.over_epochs("error_norm", statistics.mean)


def test_what_was_not_seen_may_be_anything(tmp_path):
    seen = np.random.default_rng(0).random((T, N)) < 0.8
    odd = np.where(seen[..., None], ALL["probs"], np.nan)
    mine = {"labels": ALL["labels"], "seen": seen, "probs": odd}
    expected = select(methods.get("aum"), Evidence(mine), 9)
    path = saved("folder", mine, tmp_path)
    np.testing.assert_array_equal(selected("aum", path).indices, expected.indices)
    zeros = mine | {"probs": np.nan_to_num(odd)}
    np.testing.assert_array_equal(
        select(methods.get("aum"), Evidence(zeros), 9).indices, expected.indices
    )


@pytest.mark.parametrize("form", ["npz", "folder"])
def test_rows_of_a_shuffled_loader_are_asked_about(tmp_path, form, capfd):
    rng = np.random.default_rng(0)
    shuffled = np.stack([rows[rng.permutation(N)] for rows in ALL["probs"]])
    selected("el2n", saved(form, {"labels": ALL["labels"], "probs": shuffled}, tmp_path))
    told = capfd.readouterr().err
    assert "no better than predictions of other samples" in told
    assert len(told.splitlines()) == 1


def test_names_that_are_not_known_are_told_where_something_is_missing(tmp_path):
    path = saved("npz", {"labels": ALL["labels"], "final_prob": ALL["final_probs"]}, tmp_path)
    with pytest.raises(UserError, match="it has labels; unknown: final_prob"):
        selected("entropy", path)
    path = saved("folder", {"targets": ALL["labels"]}, tmp_path)
    with pytest.raises(UserError, match="no evidence, but targets"):
        Evidence.load(path)


def test_a_sample_without_any_record_is_named(tmp_path):
    seen = np.ones((T, N), dtype=bool)
    seen[:, 4] = False
    mine = {"labels": ALL["labels"], "probs": ALL["probs"], "seen": seen}
    for method in ("forgetting", "el2n", "aum", "eva"):
        with pytest.raises(UserError, match="first that of sample 4"):
            select(
                methods.get(method), Evidence(mine), 9, options=options_for(methods.get(method), T)
            )


def test_one_epoch_is_too_few_to_forget():
    mine = {"labels": ALL["labels"], "probs": ALL["probs"][:1]}
    with pytest.raises(UserError, match="needs training dynamics of 2 epochs, these have 1"):
        select(methods.get("forgetting"), Evidence(mine), 9)


def test_a_similarity_that_is_no_covariance_is_refused():
    similarity = np.array([[0.0, 1, 1], [1, 0, 1], [1, 1, 0]])
    with pytest.raises(UserError, match=r"log_det.*positive semi-definite"):
        select(methods.get("log_det"), Evidence({"similarity": similarity}), 3, balance="global")


# --- whatever is given: a selection, or one line


SIZES = {"N": 7, "T": 5, "C": 3, "D": 3, "G": 4, "V": 3, "P": 2, "R": 2}
SIZES |= {"Q": 2, "S": 2, "B": 4}
TYPES = ("f8", "f4", "f2", ">f4", "i8", "u8", "u1", "?", "c16", "U3", "O", "M8[s]")
SCALES = (0.0, 1e-200, 1e-30, 1.0, 1.0, 1e10, 1e38, 1e200)
VALUES = (0.5, -1.0, 2.0, 1e200, -1e200, np.inf, -np.inf, np.nan)


def _right(name: str, sizes: dict[str, int], rng: np.random.Generator, scale: float) -> np.ndarray:
    """Return an array of the kind that `name` is, of numbers drawn at a scale."""
    shape, kind, _, low, _ = ARRAYS[name]
    shape = tuple(sizes[symbol] for symbol in shape)
    if kind == "integer":
        limit = sizes["N"] if name == "preselected" else sizes["C"]
        return (
            rng.permutation(limit)[: shape[0]]
            if limit >= shape[0]
            else rng.integers(0, limit, shape)
        )
    if kind == "boolean":
        return rng.random(shape) < 0.7
    numbers = rng.normal(size=shape) * scale
    if kind in ("probability", "log_probability"):
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            p = statistics.softmax(np.clip(numbers, -1e30, 1e30))
            return p if kind == "probability" else np.log(p)
    if kind == "statistic":
        return np.clip(numbers, low, 0.7)
    numbers = np.abs(numbers) if low == 0 else numbers
    return (numbers + numbers.T) / 2 if name == "similarity" else numbers


@st.composite
def dictionaries(draw: st.DrawFn) -> dict[str, np.ndarray]:
    """Arrays of evidence, mostly right ones, of which some have been spoiled in some way."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    sizes = {symbol: draw(st.integers(1 if symbol != "P" else 0, n)) for symbol, n in SIZES.items()}
    names = draw(st.sets(st.sampled_from(list(ARRAYS)), min_size=1)) | {"labels"}
    arrays = {name: _right(name, sizes, rng, draw(st.sampled_from(SCALES))) for name in names}
    for name in draw(st.sets(st.sampled_from(sorted(names)), max_size=2)):
        array = arrays[name]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            match draw(st.sampled_from(["type", "value", "shape", "order", "part"])):
                case "type":
                    array = array.astype(draw(st.sampled_from(TYPES)), casting="unsafe")
                case "value" if array.size:
                    array = array.astype(np.float64) if array.dtype.kind == "b" else array.copy()
                    value = draw(st.sampled_from(VALUES))
                    array.flat[rng.integers(array.size)] = (
                        value if array.dtype.kind == "f" else np.clip(np.nan_to_num(value), -9, 9)
                    )
                case "shape":
                    array = array.T if draw(st.booleans()) else array[..., None]
                case "order":
                    array = np.asfortranarray(array)
                case "part":
                    array = array[: draw(st.integers(0, len(array)))]
        arrays[name] = array
    return arrays


def attempt(evidence: Evidence) -> None:
    """Select by every method: nothing but a selection or a UserError may come of it."""
    for method in methods.METHODS.values():
        try:
            found = select(
                method, evidence, max(len(evidence) // 2, 1), options=options_for(method, T)
            )
        except UserError:
            continue
        assert len(set(found.indices)) == max(len(evidence) // 2, 1)
        assert found.scores is None or not np.isnan(found.scores).any()
        if found.weights is not None:
            assert np.isfinite(found.weights).all()
            assert (found.weights >= 0).all()


@settings(max_examples=500, deadline=None, derandomize=True)
@given(dictionaries())
def test_any_arrays_give_a_selection_or_one_line(arrays):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            evidence = Evidence(arrays)
        except UserError:
            return
        attempt(evidence)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.data())
def test_any_bytes_give_a_selection_or_one_line(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("bytes")
    mine = {name: ALL[name] for name in ("labels", "probs", "features", "logits")}
    small = {name: array[:5, :9] if name == "probs" else array[:9] for name, array in mine.items()}
    path = saved(data.draw(st.sampled_from(["npz", "folder"])), small, folder)
    name = data.draw(st.sampled_from(sorted(small)))
    file = path if path.is_file() else path / f"{name}.npy"
    content = bytearray(file.read_bytes())
    match data.draw(st.sampled_from(["flip", "cut", "random", "header"])):
        case "flip":
            for bit in data.draw(st.sets(st.integers(0, 8 * len(content) - 1), min_size=1)):
                content[bit // 8] ^= 1 << bit % 8
        case "header":  # where the type and the shape are
            place = data.draw(st.integers(0, 127))
            content[place] = data.draw(st.integers(0, 255))
        case "cut":
            content = content[: data.draw(st.integers(0, len(content)))]
        case "random":
            content = data.draw(st.binary(max_size=200))
    file.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            evidence = Evidence.load(path)
        except UserError:
            return
        attempt(evidence)
