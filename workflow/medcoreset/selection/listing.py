"""Coresets for other programs: as lists of names, and as folders of the files themselves."""

import csv
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from medcoreset.atomic import check_output, replacing
from medcoreset.errors import UserError, storage_error
from medcoreset.selection.selection import NAMES, Selection

SUFFIXES = (".txt", ".csv")


def write_list(path: str | Path, coresets: Mapping[int, Selection]) -> None:
    """Write which samples the coresets of some seeds have, in the order of picking.

    A `.txt` has a line for each, with the first of `NAMES` that is known, and is of one seed. A `.csv`
    has a row for each sample of each seed, with all that is known: `seed`, `indices`, `weights`,
    `sample_ids`, `source_indices`, `paths`. Raises UserError for another suffix, and for a `.txt`
    of several seeds.
    """
    path = Path(path)
    check_list(path, len(coresets))
    if path.suffix == ".txt":
        (selection,) = coresets.values()
        with replacing(path) as temporary:
            lines = "".join(f"{name}\n" for name in selection.names().tolist())
            temporary.write_text(lines, encoding="utf-8")
        return
    columns = ["indices", "weights", *reversed(NAMES[:-1])]
    some = next(iter(coresets.values()))
    columns = [name for name in columns if getattr(some, name) is not None]
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["seed", *columns])
        for seed, selection in coresets.items():
            rows = zip(*(getattr(selection, name).tolist() for name in columns), strict=True)
            table.writerows([seed, *row] for row in rows)


def check_list(path: Path | None, seeds: int) -> None:
    """Raise UserError unless the coresets of so many seeds can be listed there, if they are to be."""
    if path is None:
        return
    check_output(path)
    if path.suffix not in SUFFIXES:
        raise UserError(f"--list {path}: the name is to end in {' or '.join(SUFFIXES)}")
    if path.suffix == ".txt" and seeds > 1:
        raise UserError(
            f"--list {path}: a .txt lists one coreset, and there are {seeds} seeds: .csv"
        )


def materialize(selection: Selection, folder: str | Path, *, copy: bool = False) -> int:
    """Make a folder of the coreset's files, as they lie below `root`; return how many there are.

    They are symbolic links unless `copy`. A file that is in the coreset twice is there once. The
    folder appears whole or not at all. Raises UserError for a coreset that is not of files, a file
    that is gone or lies outside `root`, and a folder that is there and not empty.
    """
    folder = Path(folder)
    check_output(folder, folder=True)
    if selection.paths is None:
        raise UserError(
            "the coreset is not of files, which would have paths: use its source_indices on the "
            "training set that they count"
        )
    if folder.is_dir() and any(folder.iterdir()):
        raise UserError(f"{folder} is not empty: choose another folder")
    root, names = Path(selection.root).absolute(), sorted(set(selection.paths.tolist()))
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as temporary:
        made = Path(temporary) / folder.name
        for name in names:
            if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
                raise UserError(f"{name} is not below {root}")
            if not (root / name).is_file():
                raise UserError(f"{root / name} is not there any more")
            try:
                (made / name).parent.mkdir(parents=True, exist_ok=True)
                if copy:
                    shutil.copyfile(root / name, made / name)
                else:
                    (made / name).symlink_to(root / name)
            except OSError as problem:
                raise storage_error(problem, folder) or UserError(
                    f"{folder / name} cannot be made: {problem.strerror}"
                ) from problem
        os.replace(made, folder)
    return len(names)
