"""A table of labels, `labels.csv`, beside images that lie in no class folders. Opens no image."""

import csv
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np

from medcoreset.datasets import labels
from medcoreset.errors import UserError
from medcoreset.reading import file_of, read_text

FILES = ("labels.csv", "labels.tsv", "labels.txt")
"""What the table is called, in any case."""
WHAT = "a table of labels (a header, then rows, separated by commas, semicolons or tabs, in UTF-8)"
DELIMITERS = ",;\t"
LONGEST = 200
"""Characters of a label."""
COLUMNS: dict[str, tuple[tuple[str, ...], ...]] = {
    "file": (
        ("file",),
        ("filename", "file_name", "filepath", "file_path", "path"),
        ("image", "image_file", "image_path", "image_name", "img", "img_path", "img_name"),
        ("image_id", "img_id", "id", "name"),
    ),
    "label": (
        ("label",),
        ("labels", "class", "class_name", "target", "category"),
        ("label_name", "class_label", "diagnosis", "dx", "y"),
        ("label_id", "class_id", "category_id"),
    ),
    "split": (("split",), ("set", "subset", "partition", "fold", "dataset")),
}
"""Names of the columns, in any case and with spaces or hyphens; an earlier group goes first."""

Splits = dict[str, list[list[str]]]


@dataclass(frozen=True)
class _Row:
    line: int
    file: str
    label: str
    split: str


def find(root: Path) -> Path | None:
    """Return the table of labels in the folder `root`, if it has one.

    Raises UserError if it has several.
    """
    with file_of(root, "a folder that can be read"):
        found = sorted(path for path in root.iterdir() if path.name.lower() in FILES)
    if len(found) > 1:
        raise UserError(f"{root} has {' and '.join(path.name for path in found)}: leave one")
    return found[0] if found else None


def read(
    name: str, path: Path, images: list[str], split_of: Callable[[str], str | None]
) -> tuple[list[str], Splits, list[str]]:
    """Return class names, the images of each split by class, and notes on what was not read.

    `path` is the table, `images` are all images of its folder by their paths in it, and `split_of`
    tells what a split's name means. Without a column of splits all images are under `""`. A file is
    named by its path, or by its name alone if no other has it, and with or without its suffix.
    Raises UserError, which names the line, for a row that is not right: an image that is not there,
    one with two labels, an empty cell, an unknown split.
    """
    return _Table(f"dataset {name}: {path}", path, images, split_of).read()


@dataclass(frozen=True)
class _Table:
    where: str
    path: Path
    images: list[str]
    split_of: Callable[[str], str | None]

    def read(self) -> tuple[list[str], Splits, list[str]]:
        rows, notes = self._rows()
        files = self._files(rows)
        chosen: dict[str, _Row] = {}
        for row, file in zip(rows, files, strict=True):
            first = chosen.setdefault(file, row)
            if (first.label, first.split) != (row.label, row.split):
                self._refuse(row.line, f"{row.file} is otherwise in line {first.line}")
        if repeated := len(rows) - len(chosen):
            notes.append(f"{self.path.name} names {repeated} images again")
        if unnamed := len(self.images) - len(chosen):
            notes.append(f"not read: images that {self.path.name} does not name ({unnamed})")
        files_of: dict[str, list[str]] = {}
        for file in sorted(chosen, key=lambda file: file.split("/")):
            files_of.setdefault(chosen[file].split, []).append(file)
        given = {split: np.array([chosen[f].label for f in files_of[split]]) for split in files_of}
        if "" in given:
            given = {"train": given[""]}
        numbers, class_names, said = labels.classes(self.where, given)
        splits: Splits = {split: [[] for _ in class_names] for split in files_of}
        for (split, of_split), of in zip(files_of.items(), numbers.values(), strict=True):
            for file, number in zip(of_split, of, strict=True):
                splits[split][number].append(file)
        return class_names, splits, [*notes, *said]

    def _rows(self) -> tuple[list[_Row], list[str]]:
        """Return the rows, and notes on what else the table has."""
        cells = self._cells()
        names = cells[0][1] if cells else []
        header = [name.lower().replace(" ", "_").replace("-", "_") for name in names]
        places = {role: self._column(header, role) for role in COLUMNS}
        rows = [self._row(line, row, len(header), places) for line, row in cells[1:]]
        if not rows:
            raise UserError(f"{self.where} names no images")
        unread = [cell for place, cell in enumerate(header) if place not in places.values()]
        return self._with_test(rows, unread)

    def _cells(self) -> list[tuple[int, list[str]]]:
        """Return the cells of each line that has any, with its number, the header first."""
        text = read_text(self.path, WHAT)
        text = re.sub(r'\A"?sep=."?(?=[\r\n])', "", text, flags=re.IGNORECASE)  # Excel's
        with file_of(self.path, WHAT):
            start = next((line for line in text.splitlines() if line.strip()), "")
            widths = {
                mark: len(next(csv.reader([start], delimiter=mark), [])) for mark in DELIMITERS
            }
            mark = max(widths, key=widths.__getitem__)
            lines = csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=True)
            cells = [(lines.line_num, [cell.strip() for cell in row]) for row in lines]
        return [(line, row) for line, row in cells if any(row)]

    def _row(self, line: int, cells: list[str], width: int, places: dict[str, int | None]) -> _Row:
        if len(cells) != width:
            self._refuse(line, f"{len(cells)} cells, but the header has {width}")
        value = {role: cells[place] for role, place in places.items() if place is not None}
        for role, cell in value.items():
            if not cell:
                self._refuse(line, f"the {role} is empty")
        if len(value["label"]) > LONGEST:
            self._refuse(line, f"a label of {len(value['label'])} characters")
        split = self._split(line, value["split"]) if "split" in value else ""
        return _Row(line, value["file"], value["label"], split)

    def _with_test(self, rows: list[_Row], unread: list[str]) -> tuple[list[_Row], list[str]]:
        """Return the rows with a test split if there are splits, as folders have it."""
        notes = [f"not read: columns {', '.join(unread)}"] if unread else []
        splits = {row.split for row in rows}
        if splits == {""} or splits >= {"train", "test"}:
            return rows, notes
        if "train" not in splits or len(splits) == 1:
            raise UserError(f"{self.where} has images of {', '.join(sorted(splits))} alone")
        notes.append("val is the test split, for there is no other")
        moved = {"train": "train", "val": "test"}
        return [_Row(row.line, row.file, row.label, moved[row.split]) for row in rows], notes

    def _column(self, header: list[str], role: str) -> int | None:
        for names in COLUMNS[role]:
            found = [place for place, cell in enumerate(header) if cell in names]
            if len(found) > 1:
                columns = " and ".join(header[place] for place in found)
                raise UserError(
                    f"{self.where}: columns {columns} could each be the {role}: call it {role}"
                )
            if found:
                return found[0]
        if role == "split":
            return None
        has = ", ".join(cell[:40] for cell in header[:10]) or "nothing"
        raise UserError(
            f"{self.where} has no column {role} (its first line has {has}): columns are file, label "
            "and, where splits are given, split"
        )

    def _split(self, line: int, cell: str) -> str:
        split = self.split_of(cell)
        if split is None:
            self._refuse(line, f"unknown split {cell[:40]!r} (train, val or test)")
        return split

    def _files(self, rows: list[_Row]) -> list[str]:
        """Return the path of the image that each row names."""
        exact = set(self.images)
        named: dict[str, set[str]] = {}
        for image in self.images:
            last = image.rpartition("/")[2]
            for spelling in (image.rpartition(".")[0], last, last.rpartition(".")[0]):
                named.setdefault(spelling, set()).add(image)
        found: list[str] = []
        missing: list[_Row] = []
        for row in rows:
            cell = row.file.replace("\\", "/").removeprefix("./")
            several = {cell} if cell in exact else named.get(cell, set())
            if len(several) > 1:
                self._refuse(row.line, f"{row.file} could be {' or '.join(sorted(several)[:2])}")
            found += several
            missing += [] if several else [row]
        if missing:
            raise UserError(
                f"{self.where}: {len(missing)} of {len(rows)} files are not images in "
                f"{self.path.parent}, the first is {missing[0].file[:200]} (line {missing[0].line})"
            )
        return found

    def _refuse(self, line: int, reason: str) -> NoReturn:
        raise UserError(f"{self.where} line {line}: {reason}")
