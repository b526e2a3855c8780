"""An `.npy` file that is written row by row, as a training goes on."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from medcoreset.errors import storage_error


@dataclass(frozen=True)
class Rows:
    """The file of an array (T, *shape), T = `length`, or as many rows as were written if that is None.

    A file of known length has its space from the start, and rows that were not written are zero. One
    that grows takes up a row with its length last, so that it is whole at any time.
    """

    path: Path
    shape: tuple[int, ...]
    kind: type[np.generic]
    length: int | None

    def create(self) -> None:
        """Make the file; UserError if the disk has no space for all of it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._opened(new=True) as file:
            rows = self.length or 0
            start = self._write_header(file, rows)
            file.truncate(start + rows * self._bytes)
            file.flush()
            # A disk that is full is known before a training, and not in the midst of it.
            if rows and hasattr(os, "posix_fallocate"):  # not on macOS
                os.posix_fallocate(file.fileno(), 0, start + rows * self._bytes)

    def write(self, number: int, row: np.ndarray) -> None:
        """Write the row (*shape) of a 0-based number; of a file that grows, at most the next one."""
        with self._opened() as file:
            start = self._write_header(file, self.length or number)
            file.seek(start + number * self._bytes)
            file.write(np.ascontiguousarray(row, self.kind).data.cast("B"))
            file.flush()
            if self.length is None:
                file.seek(0)
                self._write_header(file, number + 1)

    def cut(self, number: int) -> None:
        """Forget the rows from a number on."""
        with self._opened() as file:
            start = self._write_header(file, self.length or number)
            file.truncate(start + number * self._bytes)
            if self.length:
                file.truncate(start + self.length * self._bytes)

    def flush(self) -> None:
        """Return when the disk has everything that was written."""
        with self._opened() as file:
            os.fsync(file.fileno())

    @property
    def _bytes(self) -> int:
        return int(np.prod(self.shape)) * np.dtype(self.kind).itemsize

    def _write_header(self, file: IO[bytes], rows: int) -> int:
        """Write the header of so many rows; return its length, the same for any number of them."""
        about = {
            "shape": (rows, *self.shape),
            "fortran_order": False,
            "descr": np.lib.format.dtype_to_descr(np.dtype(self.kind)),
        }
        np.lib.format.write_array_header_1_0(file, about)
        return file.tell()

    @contextmanager
    def _opened(self, new: bool = False) -> Iterator[IO[bytes]]:
        try:
            with self.path.open("wb" if new else "r+b") as file:
                yield file
        except OSError as problem:
            if told := storage_error(problem, self.path):
                raise told from problem
            raise
