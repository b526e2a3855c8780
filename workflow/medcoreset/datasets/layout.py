"""How a folder of images is laid out: its splits, its classes, and their files. Opens no image.

Nothing is passed over in silence: what is named as an image but cannot be one is refused, and all
else is counted in `notes`. Imports nothing heavy: workflows read it.
"""

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import NoReturn

from medcoreset.datasets import table
from medcoreset.errors import UserError
from medcoreset.reading import file_of

SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".gif", ".tif", ".tiff"),
    *(".webp", ".ppm", ".pgm", ".pbm", ".pnm"),
)
SPLIT_WORDS = {
    **dict.fromkeys(("train", "training", "trn"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "validate", "dev", "development"), "val"),
    **dict.fromkeys(("test", "testing", "tst"), "test"),
}
"""What the folders of splits are called, alone or with one of `PADDING`, in any case."""
PADDING = ("set", "data", "dataset", "images", "image", "imgs", "img", "split", "folder", "samples")
HINTS = ("train", "valid", "eval", "holdout")
"""How words begin that may mean a split."""
SYSTEM = ("__MACOSX", "@eaDir", "lost+found", "$RECYCLE.BIN", "System Volume Information")
"""Folders that systems leave beside images."""
OUTSIDE = "images outside of class folders"


@dataclass
class Layout:
    """The files of a folder of images, and what else is there.

    `splits` has under `train`, `val` and `test`, or under `""` where no splits are given, for each of
    the `class_names` the paths of its images below `root`, in order. `notes` say what was not read.
    """

    root: Path
    class_names: list[str] = field(default_factory=list)
    splits: dict[str, list[list[str]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def paths(self) -> Iterator[str]:
        """Return the paths of all images, in the order of split, class and path."""
        return chain.from_iterable(chain.from_iterable(self.splits.values()))


def find(name: str, root: str | Path) -> Layout:
    """Return how the folder `root`, of the dataset `name`, is laid out: as `folder.read` says.

    Raises UserError for a folder that is laid out otherwise, and for one in which something that is
    named as an image cannot be one: a link to nothing, a pipe, a folder that may not be read.
    """
    root = Path(root).resolve()
    if not root.is_dir():
        raise UserError(f"dataset {name}: no folder {root}")
    return _Search(name, root).layout()


class _Search:
    """One pass over a folder of images."""

    def __init__(self, name: str, root: Path) -> None:
        self.name, self.root = name, root
        self.skipped: Counter[str] = Counter()
        self.scanned: dict[str, tuple[dict[str, str], dict[str, str]]] = {}
        self.class_of: dict[tuple[int, int], str] = {}

    def layout(self) -> Layout:
        if labels := table.find(self.root):
            return self._of_table(labels)
        given = self._given_splits()
        if given:
            self._skip(self._scan(self.root)[1], OUTSIDE)
        class_names = self._class_names(self.root / given.get("train", ""))
        found = Layout(self.root, class_names)
        for split, folder in given.items() or [("", "")]:
            found.splits[split] = self._images(split, self.root / folder, class_names)
        if given and "test" not in given:
            found.splits["test"] = found.splits.pop("val")
            found.notes.append(f"{given['val']}/ is the test split, for there is no other")
        self._note_skipped(found)
        return found

    def _of_table(self, labels: Path) -> Layout:
        """Return the layout that a table of labels gives the images, wherever they lie."""
        images = self._walk(self.root)
        self.skipped[labels.suffix.lower()] -= 1
        found = Layout(self.root, *table.read(self.name, labels, images, _split_of))
        self._note_skipped(found)
        return found

    def _note_skipped(self, found: Layout) -> None:
        if counts := +self.skipped:
            said = (f"{what} ({count})" for what, count in sorted(counts.items()))
            found.notes.append(f"not read: {', '.join(said)}")

    def _given_splits(self) -> dict[str, str]:
        """Return the folder of each split that `root` has, in the order train, val, test."""
        folders, _ = self._scan(self.root)
        given: dict[str, str] = {}
        for folder in folders:
            if split := _split_of(folder):
                if split in given:
                    self._refuse(
                        f"{self.root} has {given[split]}/ and {folder}/, and either could be {split}/"
                    )
                given[split] = folder
        if not given:
            return {}
        if "train" not in given:
            self._refuse(
                f"{self.root} has given splits but no train/: call the folder of the training set "
                f"train, or, if {min(given.values())}/ is a class, call that otherwise"
            )
        if len(given) == 1:
            self._refuse(f"{self.root} has {given['train']}/ but neither test/ nor val/")
        for folder in sorted(folders.keys() - set(given.values())):
            if self._walk(self.root / folder):
                self._refuse(
                    f"{self.root} has {folder}/ beside its splits {', '.join(given.values())}: call "
                    "it train, val or test, or take it away"
                )
            self.skipped[f"{folder}/, without images"] += 1
        return {split: given[split] for split in ("train", "val", "test") if split in given}

    def _class_names(self, folder: Path) -> list[str]:
        names = list(self._scan(folder)[0])
        for name in names:
            if not _is_unicode(name):
                self._refuse(f"{folder} has a class folder whose name is not UTF-8: {name!a}")
            inside, files = self._scan(folder / name) if _hints_at_split(name) else ({}, {})
            if inside and not any(map(_is_image, files)):
                self._refuse(
                    f"{folder} has {name}/, which holds folders alone and could be a split: call "
                    "splits train, val and test, and a class otherwise"
                )
        if len(names) < 2:
            self._refuse(
                f"{folder} has {len(names)} class folders, two are needed, or beside the images a table "
                "labels.csv with the columns file and label"
            )
        return names

    def _images(self, split: str, folder: Path, class_names: list[str]) -> list[list[str]]:
        """Return the images of each class in a split; only val and test may lack some."""
        folders, files = self._scan(folder)
        self._skip(files, OUTSIDE)
        if unknown := sorted(folders.keys() - set(class_names)):
            self._refuse(f"{folder} has a class that train/ lacks: {unknown[0]}")
        images = [
            self._walk(folder / name, name) if name in folders else [] for name in class_names
        ]
        for name, paths in zip(class_names, images, strict=True):
            if not paths and split in ("", "train"):
                self._refuse(f"{folder / name} has no images ({', '.join(SUFFIXES)})")
        if not any(images):
            self._refuse(f"{folder} has no images ({', '.join(SUFFIXES)})")
        return images

    def _walk(self, top: Path, class_name: str | None = None) -> list[str]:
        """Return the paths below `root` of all images below `top`; links to folders are followed.

        A folder that several links lead to is read once, and one that holds `top` never.
        """
        above = [folder for folder in top.parents if folder.is_relative_to(self.root)]
        seen = set(map(_key, above))
        found: list[str] = []
        stack = [str(top)]
        while stack:
            folder = stack.pop()
            key = _key(folder)
            if key in seen:
                self.skipped["links to a folder that is read already"] += 1
                continue
            seen.add(key)
            if class_name is not None and self.class_of.setdefault(key, class_name) != class_name:
                self._refuse(f"{folder} is in two classes by a link, one is {self.class_of[key]}")
            folders, files = self._scan(folder)
            if folder == str(top) and class_name and (splits := list(filter(_split_of, folders))):
                self._refuse(
                    f"{folders[splits[0]]} is a split within a class: let train/, val/ and test/ hold "
                    "the classes"
                )
            stack += reversed(folders.values())
            images = list(filter(_is_image, files))
            found += map(files.__getitem__, images)
            self._skip(files.keys() - set(images))
        start = len(str(self.root).rstrip("/")) + 1
        return sorted((path[start:] for path in found), key=lambda path: path.split("/"))

    def _scan(self, folder: str | Path) -> tuple[dict[str, str], dict[str, str]]:
        """Return a folder's folders and files, by name, each in order; count what is hidden."""
        folder = str(folder)
        if folder in self.scanned:
            return self.scanned[folder]
        folders, files = {}, {}
        with file_of(folder, "a folder that can be read"), os.scandir(folder) as entries:
            ordered = sorted(entries, key=lambda entry: entry.name)
        for entry in ordered:
            if entry.name.startswith("."):
                self.skipped["hidden files"] += 1
            elif entry.name in SYSTEM:
                self.skipped[f"{entry.name}/"] += 1
            elif entry.is_symlink() and not _leads_somewhere(entry.path):
                self._refuse(f"{entry.path} is a link to nothing that can be read")
            elif entry.is_dir():
                folders[entry.name] = entry.path
            elif entry.is_file() or not _is_image(entry.name):
                files[entry.name] = entry.path
            else:
                self._refuse(f"{entry.path} is named as an image, but is no file")
        self.scanned[folder] = folders, files
        return folders, files

    def _skip(self, names: Iterable[str], images: str = "") -> None:
        for name in names:
            suffix = Path(name).suffix.lower()
            self.skipped[images if _is_image(name) else suffix or "files without a suffix"] += 1

    def _refuse(self, reason: str) -> NoReturn:
        raise UserError(f"dataset {self.name}: {reason}")


def _split_of(folder: str) -> str | None:
    """Return the split that a folder's name says it is: `Train`, `val_set`, `testing-images` …"""
    words = [word for word in _words(folder) if word not in PADDING]
    return SPLIT_WORDS.get(words[0]) if len(words) == 1 else None


def _hints_at_split(folder: str) -> bool:
    """Whether a folder's name could be that of a split, though not of which: `train_fold1`, `testB`."""
    return any(word in SPLIT_WORDS or word.startswith(HINTS) for word in _words(folder))


def _words(name: str) -> list[str]:
    """Return the words of a name in lower case; `TrainSet`, `trainset` and `train-set` have two."""
    words = [word.lower() for word in re.findall("[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]
    glued = re.compile(f"({'|'.join(SPLIT_WORDS)})({'|'.join(PADDING)})")
    parts = ((match.groups() if (match := glued.fullmatch(word)) else (word,)) for word in words)
    return list(chain.from_iterable(parts))


def _is_image(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


def _is_unicode(name: str) -> bool:
    return name == os.fsencode(name).decode(errors="replace")


def _leads_somewhere(link: str) -> bool:
    try:
        os.stat(link)
    except OSError:
        return False
    return True


def _key(folder: str | Path) -> tuple[int, int]:
    """Return what tells a folder from all others, whatever path leads to it."""
    status = os.stat(folder)
    return status.st_dev, status.st_ino
