"""Outputs that are either whole or absent."""

import json
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from medcoreset.errors import UserError, storage_error

MOST_BYTES = 200
"""Of the name of an output: a file system takes 255, and a temporary name has a few more."""
LEAST_FREE_BYTES = 2**20
"""With less than that, Snakemake cannot even say what goes wrong."""


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` if the block succeeds.

    The temporary name keeps the suffix of `path`, because writers such as numpy and matplotlib
    choose the format by it. Nothing is left behind if the block fails. A full disk, or a folder
    that may not be written, is a UserError that names `path`.
    """
    path = Path(path)
    check_output(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    except UserError:
        raise
    except Exception as problem:
        if told := storage_error(problem, path):
            raise told from problem
        raise
    finally:
        with suppress(OSError):
            temporary.unlink()


def check_output(path: str | Path, *, folder: bool = False) -> None:
    """Raise UserError if `path` is something else than the file, or the folder, that is to be made."""
    path, wanted = Path(path), "a folder" if folder else "a file"
    try:
        for place in (path, *path.parents):
            if "\0" in place.name:
                raise UserError(f"{str(path)[:100]!r}: a name has no zero byte")
            if os.path.lexists(place):
                mode = os.stat(place).st_mode
                fits = stat.S_ISREG(mode) if place is path and not folder else stat.S_ISDIR(mode)
                break
            if len(os.fsencode(place.name)) > MOST_BYTES:
                raise UserError(f"{str(path)[:100]} …: a name has at most {MOST_BYTES} bytes")
    except UserError:
        raise
    except (OSError, ValueError) as problem:
        reason = getattr(problem, "strerror", None) or str(problem)
        raise UserError(f"{str(path)[:100]!r} is to be {wanted}: {reason}") from None
    if not fits:
        kind = "folder" if stat.S_ISDIR(mode) else "file" if stat.S_ISREG(mode) else "device"
        raise UserError(f"{path} is to be {wanted}, and {place} is a {kind}: choose another place")


def check_writable(*folders: str | Path) -> None:
    """Raise UserError if in one of the folders, which need not exist yet, nothing can be written."""
    for folder in map(Path, folders):
        path = folder.absolute()
        existing = next(place for place in (path, *path.parents) if place.exists())
        if not os.access(existing, os.W_OK | os.X_OK):
            raise UserError(
                f"{existing} may not be written, and {folder}/ is to be there; choose another "
                "working folder: snakemake --directory FOLDER"
            )
        if shutil.disk_usage(existing).free < LEAST_FREE_BYTES:
            raise UserError(
                f"{existing} is on a full disk; make room and run the same again, finished work is kept"
            )


def write_json(path: str | Path, content: Any) -> None:
    """Write `content` as indented JSON with sorted keys, so that equal contents are equal bytes."""
    with replacing(path) as temporary:
        text = json.dumps(content, indent=2, sort_keys=True, allow_nan=False)
        temporary.write_text(f"{text}\n", encoding="utf-8")


def write_npz(path: str | Path, **arrays: np.ndarray) -> None:
    """Write `arrays` as an uncompressed `.npz` without pickles; equal arrays are equal bytes."""
    # An open file, because to a name without `.npz` numpy would add it.
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
