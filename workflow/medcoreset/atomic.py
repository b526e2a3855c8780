"""Outputs that are either whole or absent."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from medcoreset.errors import UserError, storage_error

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
