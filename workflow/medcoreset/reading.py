"""Files as they are read: whatever is wrong with one is a UserError, one line that names it."""

import hashlib
import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from medcoreset.errors import UserError

LONGEST = 300
"""Characters of a reason; some libraries quote all of what they could not read."""


@contextmanager
def file_of(path: str | Path, what: str) -> Iterator[None]:
    """Let the block read the file `path`; however that fails, a UserError says it is not `what`.

    Libraries raise a dozen kinds of exceptions for a damaged file, each its own and not all of them
    documented: all mean the same here.
    """
    try:
        yield
    except UserError:
        raise
    except FileNotFoundError:
        raise UserError(f"{path} does not exist, and was to be {what}") from None
    except MemoryError:
        raise UserError(f"{path} is not {what}: it asks for more memory than there is") from None
    except Exception as problem:
        reason = getattr(problem, "strerror", None) or str(problem) or type(problem).__name__
        reason = " ".join(reason.split())[:LONGEST]
        raise UserError(f"{path} is not {what}: {reason}") from None


@contextmanager
def open_npz(path: str | Path, what: str) -> Iterator[np.lib.npyio.NpzFile]:
    """Open an `.npz` without pickles, whose arrays are read as they are asked for.

    Raises UserError, also while they are, which says that the file is not `what` and why.
    """
    with file_of(path, what):
        # Numpy takes any other file for a pickle, and advises to trust it.
        with Path(path).open("rb") as stream:
            if not zipfile.is_zipfile(stream):
                raise UserError(f"{path} is not {what}: it is no .npz archive")
        with np.load(path, allow_pickle=False) as archive:
            yield archive


def read_npz(path: str | Path, what: str, *names: str) -> dict[str, np.ndarray]:
    """Return arrays of an `.npz` without pickles: those of `names`, or all.

    Each is whole: it has the checksum that the archive states. Raises UserError, which says that
    the file is not `what` and why.
    """
    with open_npz(path, what) as archive:
        if missing := [name for name in names if name not in archive.files]:
            raise UserError(f"{path} is not {what}: it has no {', '.join(missing)}")
        return {name: archive[name] for name in names or archive.files}


def map_npy(path: str | Path, what: str) -> np.ndarray:
    """Return the array of an `.npy` without pickles, memory-mapped; errors as in `read_npz`."""
    with file_of(path, what):
        return np.lib.format.open_memmap(path, mode="r")


def read_text(path: str | Path, what: str) -> str:
    """Return the text of a UTF-8 file, whatever the locale; errors as in `read_npz`."""
    with file_of(path, what):
        return Path(path).read_text(encoding="utf-8-sig")


def read_json(path: str | Path, what: str) -> dict[str, Any]:
    """Return the object in a JSON file; errors as in `read_npz`."""
    text = read_text(path, what)
    with file_of(path, what):
        content = json.loads(text)
    if not isinstance(content, dict):
        raise UserError(f"{path} is not {what}: it holds no JSON object")
    return content


def sha256_of(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def npz_headers(path: str | Path, what: str) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
    """Return shape and dtype of each array of an `.npz`, none of which is read; errors as above."""
    with file_of(path, what), zipfile.ZipFile(path) as archive:
        members = [member for member in archive.namelist() if member.endswith(".npy")]
        return {member[:-4]: _header(archive, member) for member in members}


def _header(archive: zipfile.ZipFile, member: str) -> tuple[tuple[int, ...], np.dtype]:
    with archive.open(member) as stream:
        version = np.lib.format.read_magic(stream)
        shape, _, dtype = getattr(np.lib.format, f"read_array_header_{version[0]}_0")(stream)
        return shape, dtype
