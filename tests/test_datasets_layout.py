"""Folders of images as people lay them out: understood, or refused in one line that names a folder."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medcoreset.datasets import canonical, layout, sources
from medcoreset.datasets.summary import summary
from medcoreset.errors import UserError
from tests.conftest import in_ascii_place


def fill(*folders: Path, count: int = 6) -> None:
    for number, folder in enumerate(folders):
        folder.mkdir(parents=True)
        for image in range(count):
            Image.new("L", (9, 9), 40 * number + image).save(folder / f"{image}.png")


def classes(folder: Path, *names: str) -> Path:
    fill(*(folder / name for name in names or ("a", "b")))
    return folder


def counts(root: Path) -> dict[str, list[int]]:
    found = layout.find("skin", root)
    return {split: list(map(len, images)) for split, images in found.splits.items()}


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [
        ("train", "val", "test"),
        ("train", "valid", "test"),
        ("training", "validation", "testing"),
        ("Train", "Valid", "Test"),
        ("TRAIN", "VAL", "TEST"),
        ("train_set", "dev-set", "test set"),
        ("TrainData", "ValData", "TestData"),
        ("trainset", "valset", "testset"),
        ("train2017", "val2017", "test2017"),
        ("training_images", "development", "Testing Images"),
    ],
)
def test_splits_are_understood_as_people_write_them(tmp_path, train, val, test):
    for folder in (train, val, test):
        classes(tmp_path / folder)
    assert counts(tmp_path) == {"train": [6, 6], "val": [6, 6], "test": [6, 6]}
    found = layout.find("skin", tmp_path)
    assert next(found.paths()) == f"{train}/a/0.png"
    assert found.notes == []


def test_a_single_other_split_is_the_test_split_and_that_is_said(tmp_path):
    classes(tmp_path / "Train")
    classes(tmp_path / "Validation")
    found = layout.find("skin", tmp_path)
    assert list(found.splits) == ["train", "test"]
    assert found.notes == ["Validation/ is the test split, for there is no other"]


@pytest.mark.parametrize(
    ("folders", "said"),
    [
        (["train", "test", "valid", "val"], "has val/ and valid/, and either could be val/"),
        (["train", "Train", "test"], "either could be train/"),
        (["training", "fold_2", "test"], "has fold_2/ beside its splits"),
        (["Valid", "Test"], "given splits but no train/"),
        (["train_fold1", "test_fold1"], "has test_fold1/, which holds folders alone"),
        (["trainA", "trainB", "testA"], "could be a split"),
        (["Trainingsdaten", "Testdaten"], "has Trainingsdaten/, which holds folders alone"),
        (["trainval", "evaluation"], "has evaluation/, which holds folders alone"),
    ],
)
def test_splits_that_are_not_understood_are_refused(tmp_path, folders, said):
    for folder in folders:
        classes(tmp_path / folder)
    with pytest.raises(UserError, match=said):
        layout.find("skin", tmp_path)


def test_splits_within_classes_are_refused(tmp_path):
    for name in ("benign", "malign"):
        classes(tmp_path / name, "train", "Test")
    with pytest.raises(UserError, match="benign/Test is a split within a class"):
        layout.find("skin", tmp_path)


def test_classes_may_have_names_with_such_words(tmp_path):
    classes(tmp_path, "stress test", "training shoe", "valley", "testis")
    fill(tmp_path / "valley" / "2019")
    assert counts(tmp_path) == {"": [6, 6, 6, 12]}


def test_what_is_not_read_is_said(tmp_path):
    classes(tmp_path / "train")
    classes(tmp_path / "test")
    for junk in ("__MACOSX/._a", "train/a/._0.png", "test/b/Thumbs.db", "test/b/x.dcm", "README"):
        (tmp_path / junk).parent.mkdir(exist_ok=True)
        (tmp_path / junk).write_bytes(b"x")
    (tmp_path / "notes").mkdir()
    (tmp_path / "test" / "stray.png").write_bytes(b"x")
    (tmp_path / "train" / "a" / "@eaDir").mkdir()
    found = layout.find("skin", tmp_path)
    assert [list(map(len, images)) for images in found.splits.values()] == [[6, 6], [6, 6]]
    assert found.notes == [
        "not read: .db (1), .dcm (1), @eaDir/ (1), __MACOSX/ (1), files without a suffix (1), "
        "hidden files (1), images outside of class folders (1), notes/, without images (1)"
    ]


@pytest.mark.parametrize("split", ["", "train"])
def test_a_class_without_images_is_refused(tmp_path, split):
    classes(tmp_path / split)
    classes(tmp_path / "test") if split else None
    (tmp_path / split / "c").mkdir()
    (tmp_path / split / "c" / "x.dcm").write_bytes(b"x")
    with pytest.raises(UserError, match=r"c has no images \(\.png"):
        layout.find("skin", tmp_path)


def test_a_class_may_be_missing_from_the_test_split(tmp_path):
    classes(tmp_path / "train")
    classes(tmp_path / "test", "b")
    assert counts(tmp_path)["test"] == [0, 6]


# --- links and what is no file -------------------------------------------------------------------


def test_links_to_folders_are_followed(tmp_path):
    fill(tmp_path / "archive" / "p1", tmp_path / "archive" / "p2", tmp_path / "archive" / "p3")
    root = classes(tmp_path / "root")
    (root / "a" / "patient").symlink_to(tmp_path / "archive" / "p1")
    (root / "b" / "patient").symlink_to("../../archive/p2")
    (root / "c").symlink_to(tmp_path / "archive" / "p3")
    (root / "c" / "10.png").symlink_to(root / "a" / "0.png")
    assert counts(root) == {"": [12, 12, 7]}


def test_links_that_lead_back_are_said_and_end(tmp_path):
    root = classes(tmp_path / "root")
    (root / "a" / "self").symlink_to(root / "a")
    (root / "a" / "up").symlink_to(root)
    for level in range(40):  # two ways at each of forty levels: a million million paths
        fill(folder := root / "b" / f"level{level}", count=1)
        (folder / "x").symlink_to(f"../level{level + 1}" if level < 39 else "../level0")
        (folder / "y").symlink_to(f"../level{level + 1}" if level < 39 else "../level0")
    found = layout.find("skin", root)
    assert list(map(len, found.splits[""])) == [6, 46]
    assert found.notes == ["not read: links to a folder that is read already (82)"]


def test_a_folder_in_two_classes_is_refused(tmp_path):
    root = classes(tmp_path / "root")
    (root / "b" / "more").symlink_to(root / "a")
    with pytest.raises(UserError, match="more is in two classes by a link, one is a"):
        layout.find("skin", root)


@pytest.mark.parametrize("name", ["gone.png", "gone", "loop.png"])
def test_links_to_nothing_are_refused(tmp_path, name):
    link = classes(tmp_path) / "a" / name
    link.symlink_to(link if name == "loop.png" else "/nonexistent/x.png")
    with pytest.raises(UserError, match=f"a/{name} is a link to nothing"):
        layout.find("skin", tmp_path)


def test_what_is_no_file_is_not_opened(tmp_path):
    root = classes(tmp_path / "root")
    os.mkfifo(root / "a" / "pipe")
    assert layout.find("skin", root).notes == ["not read: files without a suffix (1)"]
    os.mkfifo(tmp_path / "pipe.png")
    for target in (tmp_path / "pipe.png", Path("/dev/zero")):
        (root / "a" / "x.png").symlink_to(target)
        with pytest.raises(UserError, match=r"x\.png is named as an image, but is no file"):
            layout.find("skin", root)
        (root / "a" / "x.png").unlink()
    os.chdir(root / "a")  # a socket's path may have no more than a hundred letters
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("x.png")
        with pytest.raises(UserError, match="no file"):
            layout.find("skin", root)


NOBODY = 65534


def test_folders_that_may_not_be_read_are_refused(tmp_path):
    locked = classes(tmp_path / "root") / "a" / "locked"
    fill(locked)
    locked.chmod(0)
    code = (
        "import os, sys\n"
        "from medcoreset.datasets import layout\n"
        "from medcoreset.errors import UserError\n"
        "os.chdir(sys.argv[1])\n"
        f"if os.geteuid() == 0: os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})\n"
        "try: layout.find('skin', '.')\n"
        "except UserError as refused: print(refused)\n"
    )
    for folder in (tmp_path, *tmp_path.parents):
        if os.access(folder, os.W_OK) and folder.stat().st_uid == os.geteuid():
            folder.chmod(folder.stat().st_mode | 0o011)
    command = [sys.executable, "-c", code, str(tmp_path / "root")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    locked.chmod(0o700)
    assert done.stdout == f"{locked} is not a folder that can be read: Permission denied\n"


# --- names ---------------------------------------------------------------------------------------

LATIN = b"l\xe9sion"


def test_files_with_names_that_are_not_utf8_are_read(tmp_path):
    root = classes(tmp_path / "root")
    os.rename(root / "a" / "0.png", os.fsencode(root / "a") + b"/" + LATIN + b".png")
    for stream in (False, True):
        dataset = sources.read_own_folder("skin+val=0", root, image_size=9, stream=stream)
        canonical.write(dataset, tmp_path / "skin.npz")
        loaded = canonical.load(tmp_path / "skin.npz")
        assert loaded.sha256 == dataset.sha256
        values = np.concatenate([loaded.images(split)[:] for split in ("train", "test")])
        assert sorted(values.reshape(12, -1)[:, 0]) == [*range(6), *range(40, 46)]


def test_classes_with_names_that_are_not_utf8_are_refused(tmp_path):
    root = classes(tmp_path / "root")
    os.mkdir(os.fsencode(root) + b"/" + LATIN)
    with pytest.raises(UserError, match=r"class folder whose name is not UTF-8: 'l\\udce9sion'"):
        layout.find("skin", root)


@pytest.mark.parametrize("locale", [pytest.param("C", marks=in_ascii_place), "C.UTF-8"])
def test_the_line_at_the_end_says_what_was_read(tmp_path, locale):
    root = classes(tmp_path / "root", "正常", 'a\'b "q" $x {y}', "two\nlines")
    os.rename(root / "正常" / "0.png", os.fsencode(root) + b"/" + LATIN + b".png")
    pages = [Image.new("L", (9, 9)) for _ in range(3)]
    pages[0].save(root / "two\nlines" / "stack.tif", save_all=True, append_images=pages[1:])
    command = [sys.executable, "-m", "medcoreset", "dataset", "skin+val=0", "--folder", str(root)]
    command += ["--image-size", "8", "--out", str(tmp_path / "skin.npz")]
    environment = {**os.environ, "LC_ALL": locale}
    done = subprocess.run(command, capture_output=True, env=environment, check=True)
    assert done.stderr == b""
    said = done.stdout.decode()
    assert len(said.splitlines()) == 1
    assert said.startswith('skin+val=0: train 14 (a\'b "q" $x {y} ')
    assert "two lines 5, 正常 4), val 0, test " in said
    assert said.endswith(
        "; grey, 8 pixels; not read: images outside of class folders (1); read is the first picture "
        "alone of 1 files that have several\n"
    )


def test_many_classes_are_summed_up(tmp_path):
    root = classes(tmp_path, *(f"{number:03}" for number in range(30)))
    fill(root / "000" / "more")
    dataset = sources.read_own_folder("skin+val=0", root, image_size=8)
    assert summary(dataset).startswith(
        "skin+val=0: train 149 (30 classes of 4 to 9), val 0, test 37 (30 classes of 1 to 3); "
        "grey, 8 pixels; 29 test images are in train too"
    )
