"""Decode the images of a dataset once, by several processes, so that no training has to.

The file of pixels grows part by part. A journal beside it says of every finished part how large its
images are and what its digest is, so that after a kill only what is not there is decoded, and what
was damaged meanwhile.
"""

import json
import os
import shutil
import signal
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import PIL

from medcoreset.atomic import replacing, write_npz
from medcoreset.datasets import decoded
from medcoreset.datasets.streaming import StreamedImages
from medcoreset.errors import UserError, say, storage_error
from medcoreset.locks import sole
from medcoreset.reading import file_of

JOURNAL = "parts.jsonl"
SAMPLE = 32
"""Images that are decoded to estimate what all of them take on the disk."""
AHEAD = 2
"""Parts that each process may have decoded before they are written."""
WATCH_SECONDS = 1.0

Part = tuple[np.ndarray, np.ndarray]  # the sizes (n, 2) of n images, and their pixels (bytes,)


def decode(
    splits: Sequence[StreamedImages], folder: Path, dataset: str, *, processes: int = 1
) -> int:
    """Decode the images of train, val and test into `folder`; return how many were not there yet.

    `dataset` is the SHA-256 of the dataset that they are of. The bytes do not depend on the number
    of `processes`. Raises UserError for an image that cannot be read, or is not the file that it was
    when the dataset was prepared, and for a disk that is too small; the same call then goes on.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with sole(folder, "decodes"):
        images = _Images(splits)
        files = _Files(folder, decoded.identity(dataset), images)
        todo = [part for part in decoded.parts(len(images)) if part.start not in files.digests]
        numbers = [number for part in todo for number in part]
        if kept := len(images) - len(numbers):
            say(f"{kept:,} of the {len(images):,} images of {folder} were decoded before")
        _check_space(folder, images, numbers)
        with files.writing() as write:
            for part, found in zip(todo, _decoded(images, todo, processes), strict=True):
                write(part, found)
        files.finish()
        return len(numbers)


class _Images:
    """The images of all splits, by one number each, as they are stored."""

    def __init__(self, splits: Sequence[StreamedImages]) -> None:
        self.splits, self.colour = splits, splits[0].colour
        self.ends = np.cumsum([len(split) for split in splits])

    def __len__(self) -> int:
        return int(self.ends[-1])

    def stored(self, number: int) -> np.ndarray:
        split = int(np.searchsorted(self.ends, number, side="right"))
        images = self.splits[split]
        index = number - int(self.ends[split]) + len(images)
        path = images.root / str(images.paths[index])
        with file_of(path, "a readable image"):
            if os.stat(path).st_size != images.file_bytes[index]:
                raise UserError(
                    f"{path} has changed since its dataset was prepared: prepare that again, "
                    "medcoreset dataset, or snakemake … --forcerun prepare_dataset"
                )
        return decoded.stored(images, index, whole=split == 0)

    def part(self, numbers: Iterable[int]) -> Part:
        found = [self.stored(number) for number in numbers]
        sizes = np.array([image.shape[:2] for image in found], np.int64)
        return sizes, np.concatenate([image.reshape(-1) for image in found])


class _Files:
    """The files of `folder`: what is there of them, by the first image of each part, and is added."""

    def __init__(self, folder: Path, identity: str, images: _Images) -> None:
        self.colour = images.colour
        self.pixels, self.journal = folder / decoded.PIXELS, folder / JOURNAL
        self.index = folder / decoded.INDEX
        self.head = {"identity": identity, "pillow": PIL.__version__}
        self.sizes = np.zeros((len(images), 2), np.int64)
        self.digests: dict[int, str] = {}
        self.index.unlink(missing_ok=True)
        lines = list(_lines(self.journal))
        if lines[:1] == [self.head] and self.pixels.exists():
            self._take_over({line["first"]: line for line in lines[1:]})
        else:
            # Not emptied: a training may still read it.
            self.pixels.unlink(missing_ok=True)

    def _take_over(self, journal: dict[int, dict[str, Any]]) -> None:
        """Keep those parts whose pixels are what the journal says."""
        file, length, start = decoded.Mapped(self.pixels), self.pixels.stat().st_size, 0
        for part in decoded.parts(len(self.sizes)):
            if part.start not in journal:
                return
            said = journal[part.start]
            sizes = np.array(said["sizes"], np.int64)
            stop = start + int(decoded.lengths(sizes, self.colour).sum())
            if stop > length:
                return
            self.sizes[part.start : part.stop] = sizes
            if decoded.sha256(file.array[start:stop]) == said["sha256"]:
                self.digests[part.start] = said["sha256"]
            start = stop

    @contextmanager
    def writing(self) -> Iterator[Any]:
        """Yield what writes a part, all before which are there, and only then notes that it is."""
        with replacing(self.journal) as temporary:
            known = "".join(self._line(first) for first in sorted(self.digests))
            temporary.write_text(_text(self.head) + known, encoding="utf-8")
        self.pixels.touch()
        with self.pixels.open("r+b") as pixels, self.journal.open("a", encoding="utf-8") as journal:

            def write(part: range, found: Part) -> None:
                sizes, values = found
                known = self.sizes[part.start : part.stop]
                if known.any() and not np.array_equal(known, sizes):
                    raise UserError(f"{self.pixels} cannot be mended: delete {self.pixels.parent}")
                self.sizes[part.start : part.stop] = sizes
                self.digests[part.start] = decoded.sha256(values)
                try:
                    pixels.seek(decoded.lengths(self.sizes[: part.start], self.colour).sum())
                    pixels.write(values.data)
                    pixels.flush()
                    os.fsync(pixels.fileno())
                    journal.write(self._line(part.start))
                    journal.flush()
                except OSError as problem:
                    raise storage_error(problem, self.pixels) or problem from problem

            yield write

    def finish(self) -> None:
        """Say in the index that all is there."""
        os.truncate(self.pixels, decoded.lengths(self.sizes, self.colour).sum())
        write_npz(
            self.index,
            sizes=self.sizes.astype(np.int32),
            parts=np.array([self.digests[first] for first in sorted(self.digests)]),
            **{name: np.array(value) for name, value in self.head.items()},
        )

    def _line(self, first: int) -> str:
        sizes = self.sizes[first : first + decoded.PART].tolist()
        return _text({"first": first, "sizes": sizes, "sha256": self.digests[first]})


def _text(content: dict[str, Any]) -> str:
    return f"{json.dumps(content)}\n"


def _lines(journal: Path) -> Iterator[dict[str, Any]]:
    """Yield what a journal says, up to where it is torn."""
    with suppress(OSError, ValueError), journal.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def _check_space(folder: Path, images: _Images, numbers: Sequence[int]) -> None:
    """Raise UserError if the disk has no place for the images `numbers`, judged by some of them."""
    if not numbers:
        return
    chosen = np.unique(np.linspace(0, len(numbers) - 1, SAMPLE).round().astype(int))
    sizes = [images.stored(numbers[place]).size for place in chosen]
    needed, free = len(numbers) * float(np.mean(sizes)), shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(
            f"{folder}: {len(numbers):,} decoded images take about {needed / 1e9:,.3g} GB, and "
            f"{free / 1e9:,.3g} GB are free; make room and run the same again, finished work is kept"
        )


def _decoded(images: _Images, parts: list[range], processes: int) -> Iterator[Part]:
    """Yield the images of each part, in their order."""
    if processes == 1:
        yield from map(images.part, parts)
        return
    pool = ProcessPoolExecutor(processes, initializer=_begin, initargs=(images, os.getpid()))
    pending: deque[Future[Part]] = deque()
    try:
        for part in parts:
            pending.append(pool.submit(_part, part))
            if len(pending) > AHEAD * processes:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    except BrokenProcessPool:
        raise UserError(
            "a process that decoded images was killed, perhaps for want of memory; run the same "
            "again, finished work is kept"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


_images: _Images
"""What a process decodes from."""


def _begin(images: _Images, parent: int) -> None:
    """Be a process that decodes, until its parent ends: that is told by no one if it is killed."""
    global _images
    _images = images
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(WATCH_SECONDS)
    os._exit(1)


def _part(numbers: range) -> Part:
    return _images.part(numbers)
