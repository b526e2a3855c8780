"""Folders of images whose labels are in a table beside them."""

import numpy as np
import pytest
from PIL import Image

from medcoreset.datasets import canonical, sources
from medcoreset.datasets.canonical import SPLITS
from medcoreset.errors import UserError
from medcoreset.study import inputs

NAMES = ["no", "mild"]


@pytest.fixture
def folder(tmp_path):
    """Twenty grey images in a folder; image i is of the shade 10·i and of class i mod 2."""
    for number in range(20):
        Image.new("L", (8, 8), 10 * number).save(tmp_path / f"scan {number:02}.png")
    return tmp_path


def table(folder, text, name="labels.csv", encoding="utf-8"):
    (folder / name).write_bytes(text.encode(encoding))
    return folder


def rows(mark=",", file="scan {:02}.png", label=NAMES.__getitem__, split=None):
    lines = [[file.format(i), str(label(i % 2)), *([split(i)] if split else [])] for i in range(20)]
    header = ["file", "label", *(["split"] if split else [])]
    return "".join(mark.join(line) + "\n" for line in [header, *lines])


def read(folder, name="skin", **options):
    return sources.read_own_folder(name, folder, image_size=8, **options)


def assert_right(dataset, counts, *, named=True):
    assert [len(dataset.labels(split)) for split in SPLITS] == counts
    every = np.concatenate([dataset.images(split)[:, 0, 0] for split in SPLITS])
    assert sorted(every) == [*range(0, 200, 10)]
    for split in SPLITS:
        classes = dataset.images(split)[:, 0, 0] // 10 % 2
        np.testing.assert_array_equal(dataset.labels(split), 1 - classes if named else classes)


@pytest.mark.parametrize("mark", [",", ";", "\t", " ; "])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_without_splits(folder, mark, encoding):
    dataset = read(table(folder, rows(mark), encoding=encoding))
    assert dataset.info["class_names"] == ["mild", "no"]
    assert_right(dataset, [14, 2, 4])
    assert [np.bincount(dataset.labels(split)).tolist() for split in SPLITS] == [
        [7, 7],
        [1, 1],
        [2, 2],
    ]


@pytest.mark.parametrize(
    "text",
    [
        rows().replace("\n", "\r\n") + "\r\n,\r\n",
        "sep=,\n" + rows(),
        rows().replace("file,label", '"Image Name","Diagnosis"'),
        rows(file='"scan {:02}.png"', label=lambda c: f'"{NAMES[c]}"'),
        rows(file="scan {:02}"),
        rows(file="./scan {:02}.png"),
        rows().replace("file,label", "image_id,DX"),
        "id,file,label,age\n"
        + "".join(f"{i},scan {i:02}.png,{NAMES[i % 2]},50\n" for i in range(20)),
    ],
)
def test_tables_as_people_write_them(folder, text):
    assert_right(read(table(folder, text), "skin+val=0"), [16, 0, 4])


@pytest.mark.parametrize(("first", "names"), [(0, ["0", "1"]), (1, ["1", "2"]), (9, ["9", "10"])])
def test_numbers_as_labels(folder, first, names):
    dataset = read(table(folder, rows(label=lambda c: first + c)), "skin+val=0")
    assert dataset.info["class_names"] == names
    assert_right(dataset, [16, 0, 4], named=False)


def test_given_splits(folder, tmp_path):
    words = ["Training"] * 12 + ["valid"] * 4 + ["TEST"] * 4
    text = rows(split=words.__getitem__)
    dataset = read(table(folder, text))
    assert_right(dataset, [12, 4, 4])
    assert sorted(dataset.test_images[:, 0, 0]) == [160, 170, 180, 190]
    canonical.write(read(folder, stream=True), tmp_path / "streamed.npz")
    streamed = canonical.load(tmp_path / "streamed.npz")
    np.testing.assert_array_equal(streamed.test_images[:][..., 0], dataset.test_images)
    dataset = read(table(folder, text.replace("TEST", "train")))
    assert_right(dataset, [14, 2, 4])
    assert "val is the test split, for there is no other" in dataset.info["notes"]


def test_images_below_folders(folder):
    for number in range(20):
        part = folder / f"part_{number % 3}"
        part.mkdir(exist_ok=True)
        (folder / f"scan {number:02}.png").rename(part / f"scan {number:02}.png")
    assert_right(read(table(folder, rows()), "skin+val=0"), [16, 0, 4])
    text = rows().splitlines()
    moved = [text[0], *(f"part_{i % 3}\\{line}" for i, line in enumerate(text[1:]))]
    assert_right(read(table(folder, "\n".join(moved)), "skin+val=0"), [16, 0, 4])


def test_what_is_counted_and_noted(folder):
    Image.new("L", (8, 8), 255).save(folder / "unnamed.png")
    text = rows() + "scan 03.png,mild\n"
    dataset = read(table(folder, text.replace("\n", ",7\n").replace("label,7", "label,age")))
    assert dataset.info["notes"][:3] == [
        "not read: columns age",
        "labels.csv names 1 images again",
        "not read: images that labels.csv does not name (1)",
    ]
    assert "\n" not in "".join(dataset.info["notes"])
    assert ".csv" not in "".join(dataset.info["notes"][2:]).replace("labels.csv", "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no column file .*has nothing"),
        ("file,label\n", "names no images"),
        ("scan 00.png,no\n", "has no column file"),
        (rows().replace("label", "stage"), "has no column label .*its first line has file, stage"),
        (rows(" "), "has no column"),
        (rows().replace("file,label", "class,target"), "has no column file"),
        (
            rows(split=lambda i: "x").replace("file,label,split", "file,class,target"),
            "columns class and target could each be the label",
        ),
        (
            rows() + "scan 99.png,no\nlost.png,no\n",
            "2 of 22 files .* the first is scan 99.png .line 22",
        ),
        (rows(file="/elsewhere/{:02}.png"), "20 of 20 files are not images"),
        (rows() + "../labels.csv,no\n", "1 of 21 files are not images"),
        (rows() + "scan 03.png,no\n", "line 22: scan 03.png is otherwise in line 5"),
        (rows().replace("07.png,mild", "07.png, "), "line 9: the label is empty"),
        (rows().replace("scan 07.png", ""), "line 9: the file is empty"),
        (rows().replace("07.png,mild", "07.png,NaN"), "'NaN', an empty label"),
        (rows().replace("07.png,mild", "07.png"), "line 9: 1 cells, but the header has 2"),
        (rows().replace("07.png,mild", "07.png,mild,2"), "line 9: 3 cells"),
        (rows().replace("07.png,mild", '07.png,"mild'), "is not a table of labels"),
        (rows(split=lambda i: "fold1"), "line 2: unknown split 'fold1'"),
        (rows(split=lambda i: "train" if i else ""), "line 2: the split is empty"),
        (rows(split=lambda i: "train"), "has images of train alone"),
        (rows(split=lambda i: "test" if i % 2 else "val"), "has images of test, val alone"),
        (rows(split=lambda i: "test" if i % 2 else "train"), "a class that the training set lacks"),
        (rows(label=lambda c: 20240101 + c), "20240102 .* a date"),
        (rows(label=lambda c: c - 1), "negative"),
        (rows(label=lambda c: "same"), "two classes are needed"),
        (rows().replace("07.png,mild", "07.png," + "m" * 999), "line 9: a label of 999 characters"),
        (rows().replace("07.png,mild", "07.png," + "m" * 200_000), "is not a table of labels"),
    ],
)
def test_tables_that_are_wrong(folder, text, said):
    with pytest.raises(UserError, match=said) as problem:
        read(table(folder, text))
    assert "labels.csv" in str(problem.value)
    assert len(str(problem.value).splitlines()) == 1


def test_tables_that_are_no_text(folder):
    for content in (rows().encode("utf-16"), "file,label\nscan 00.png,é\n".encode("latin-1")):
        (folder / "labels.csv").write_bytes(content)
        with pytest.raises(UserError, match=r"labels\.csv is not a table of labels"):
            read(folder)


def test_one_table_only(folder):
    table(folder, rows())
    table(folder, rows("\t"), name="Labels.TSV")
    with pytest.raises(UserError, match=r"has Labels\.TSV and labels\.csv: leave one"):
        read(folder)


def test_flat_images_without_a_table(folder):
    with pytest.raises(UserError, match=r"or beside the images a table labels\.csv"):
        read(folder)


def test_a_name_that_two_images_have(folder):
    for part in "ab":
        (folder / part).mkdir()
        Image.new("L", (8, 8), 1).save(folder / part / "twice.png")
    with pytest.raises(UserError, match=r"line 22: twice could be a/twice\.png or b/twice\.png"):
        read(table(folder, rows() + "twice,no\n"))


def test_an_edited_table_prepares_the_dataset_again(folder, tmp_path_factory):
    kept = str(tmp_path_factory.mktemp("kept") / "contents.json")
    found = set()
    for text in (rows(), rows().replace("07.png,mild", "07.png,no"), "\n" + rows()):
        inputs.folder_contents.cache_clear()
        found.add(inputs.folder_contents(str(table(folder, text)), kept))
    assert len(found) == 2  # a blank line changes nothing


def test_what_cannot_be_printed_breaks_no_line(folder):
    with pytest.raises(UserError, match=r"its first line has a\\x0cb, c\)") as problem:
        read(table(folder, "a\x0cb,c\n"))
    assert len(str(problem.value).splitlines()) == 1
