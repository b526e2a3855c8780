"""Whatever is in an own file, there comes a dataset of it or one line that names the file."""

import io
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from medcoreset.datasets import canonical, facts, labels, sources
from medcoreset.datasets.canonical import SPLITS
from medcoreset.datasets.catalog import parse
from medcoreset.errors import UserError

FEW = settings(max_examples=60, deadline=None)


def a_dataset_or_one_line(read, path, *, named=True):
    """Return what `read` returns, or None if it raises a UserError of one line that names the file."""
    said = None
    try:
        return read()
    except UserError as problem:
        said = str(problem)
    assert len(said.splitlines()) == 1
    assert len(said) < 1500
    assert not named or str(path) in said
    return None


def right(dataset):
    for split in SPLITS:
        assert dataset.labels(split).dtype == np.int64
        assert len(dataset.labels(split)) == len(dataset.images(split))
        assert np.isin(dataset.labels(split), np.arange(dataset.classes)).all()
    assert set(dataset.train_labels) == set(range(dataset.classes))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


# --- labels --------------------------------------------------------------------------------------

dtypes = st.one_of(
    hnp.integer_dtypes(),
    hnp.unsigned_integer_dtypes(),
    hnp.floating_dtypes(),
    hnp.boolean_dtypes(),
    hnp.unicode_string_dtypes(max_len=3),
    hnp.byte_string_dtypes(max_len=3),
    hnp.complex_number_dtypes(),
    hnp.datetime64_dtypes(),
)
shapes = hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=12)


@FEW
@given(st.lists(hnp.arrays(dtypes, shapes), min_size=3, max_size=3))
def test_any_labels(arrays):
    given = dict(zip(SPLITS, arrays, strict=True))
    found = a_dataset_or_one_line(lambda: labels.classes("own.npz", given), "own.npz")
    if found is not None:
        numbers, names, _ = found
        every = np.concatenate(list(numbers.values()))
        assert set(every) == set(range(len(names)))
        assert [len(numbers[split]) for split in SPLITS] == [len(given[split]) for split in SPLITS]


@FEW
@given(
    values=st.lists(
        st.one_of(
            st.integers(-3, 12), st.integers(-(2**63), 2**63 - 1), st.sampled_from([99, 255, 65535])
        ),
        min_size=1,
        max_size=6,
        unique=True,
    ),
    seed=st.integers(0, 99),
    form=st.sampled_from([np.asarray, lambda y: y[:, None], lambda y: y.astype(str), np.float64]),
)
def test_labels_of_few_values(values, seed, form):
    """Numbers keep their order and are told apart, in all splits alike, or are refused."""
    random = np.random.default_rng(seed)
    drawn = {split: random.choice(np.array(values, np.int64), 40) for split in SPLITS}
    given = {split: form(each) for split, each in drawn.items()}
    found = a_dataset_or_one_line(lambda: labels.classes("own.npz", given), "own.npz")
    if found is not None:
        numbers, names, _ = found
        for split in SPLITS:
            as_named = np.array(list(map(int, names)))[numbers[split]]
            np.testing.assert_array_equal(as_named, drawn[split])


# --- files ---------------------------------------------------------------------------------------


def content(*, compressed: bool, labels_as=np.asarray) -> bytes:
    random = np.random.default_rng(0)
    given = {}
    for split, count in {"train": 30, "val": 9, "test": 9}.items():
        given[f"{split}_images"] = random.integers(0, 256, (count, 4, 4), np.uint8)
        given[f"{split}_labels"] = labels_as(np.arange(count) % 3)
    stream = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(stream, **given)
    return stream.getvalue()


WHOLE = [content(compressed=compressed) for compressed in (False, True)]
NAMED = content(compressed=False, labels_as=lambda y: np.array(["a", "b", "c"])[y])


@st.composite
def damaged(draw, whole: list[bytes]) -> bytes:
    """Return a file that was cut, or of which some bytes are others."""
    content = bytearray(draw(st.sampled_from(whole)))
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.integers(0, len(content) - 1))
        content[place] ^= draw(st.integers(1, 255))
    if draw(st.booleans()):
        del content[draw(st.integers(0, len(content))) :]
    return bytes(content)


@settings(FEW, max_examples=200)
@given(st.one_of(damaged([*WHOLE, NAMED]), st.binary(max_size=300)))
def test_damaged_npz(folder, content):
    path = folder / "own.npz"
    path.write_bytes(content)
    dataset = a_dataset_or_one_line(
        lambda: sources.read_own("skin+val=0.2", path), path, named=False
    )
    if dataset is not None:
        right(dataset)
    facts.of(parse("skin", ["skin"]), {"path": str(path)})


@settings(FEW, max_examples=200)
@given(st.data())
def test_damaged_canonical_files(folder, data):
    """What is loaded is what was written, whatever happened to the file since."""
    path = folder / "skin.npz"
    path.with_name("whole.npz").write_bytes(WHOLE[0])
    dataset = sources.read_own("skin", path.with_name("whole.npz"))
    canonical.write(dataset, path)
    described = canonical.description_path(path)
    which = data.draw(st.sampled_from([path, described]))
    which.write_bytes(data.draw(damaged([which.read_bytes()])))
    loaded = a_dataset_or_one_line(lambda: canonical.load(path), path, named=False)
    if loaded is not None:
        for split in SPLITS:
            np.testing.assert_array_equal(loaded.images(split), dataset.images(split))
            np.testing.assert_array_equal(loaded.labels(split), dataset.labels(split))
    found = a_dataset_or_one_line(lambda: canonical.load_labels(path), path, named=False)
    if found is not None:
        np.testing.assert_array_equal(found, dataset.train_labels)


# --- tables --------------------------------------------------------------------------------------

cells = st.one_of(
    st.sampled_from(
        ["00.png", "01.png", "02", "sub/03.png", "no", "mild", "0", "train", "test", ""]
    ),
    st.text(max_size=6),
)
texts = st.one_of(
    st.text(max_size=200),
    st.builds(
        lambda mark, header, rows: "\n".join(mark.join(row) for row in [header, *rows]),
        st.sampled_from(",;\t"),
        st.permutations(["file", "label", "split", "age"]).map(lambda names: names[:3]),
        st.lists(st.lists(cells, min_size=3, max_size=3), max_size=12),
    ),
    st.builds(
        lambda labels: "file,label\n" + "".join(f"{i:02},{x}\n" for i, x in enumerate(labels)),
        st.lists(st.sampled_from(["a", "b", " a", "1", ""]), min_size=11, max_size=12),
    ),
)


@pytest.fixture(scope="module")
def pictures(folder) -> Path:
    root = folder / "pictures"
    (root / "sub").mkdir(parents=True)
    for number in range(12):
        place = root / "sub" if number == 3 else root
        Image.new("L", (4, 4), 20 * number).save(place / f"{number:02}.png")
    return root


@settings(FEW, max_examples=150)
@given(st.one_of(texts.map(lambda text: text.encode(errors="replace")), st.binary(max_size=100)))
def test_any_table(pictures, content):
    (pictures / "labels.csv").write_bytes(content)
    read = partial(sources.read_own_folder, "skin+val=0", pictures, image_size=4)
    dataset = a_dataset_or_one_line(read, "labels.csv", named=False)
    if dataset is not None:
        right(dataset)
