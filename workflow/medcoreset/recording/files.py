"""The folder that training dynamics are recorded into, which is evidence from the first epoch on."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from medcoreset.atomic import check_output, replacing, write_json
from medcoreset.errors import UserError, say
from medcoreset.reading import file_of, map_npy, read_json
from medcoreset.recording.rows import Rows
from medcoreset.recording.statistics import STATISTICS

ABOUT = "recording.json"
WHAT = "of a folder that training dynamics were recorded into"


@dataclass(frozen=True)
class Recording:
    """The files of a recording: `labels.npy` (N,), a `.npy` (T, N) per statistic, maybe `probs.npy`.

    `epochs` is T, or None if it grows. The full probabilities (T, N, C) float16 are kept if all of
    them fit `probs_budget_mb`. An epoch is recorded when its row of `seen` is written, which is the last.
    """

    folder: Path
    samples: int
    classes: int
    epochs: int | None
    probs_budget_mb: float

    def create(self, labels: np.ndarray) -> None:
        """Make the files; UserError if the folder has some of them, or there is no space for them."""
        check_output(self.folder, folder=True)
        files = self._files(0)
        for path in (self.folder / ABOUT, *(rows.path for rows in files.values())):
            if path.exists():
                raise UserError(
                    f"folder is {self.folder}, which holds {path.name} of other training dynamics: "
                    "choose another, or go on with Recorder.resume"
                )
        existed = self.folder.exists()
        try:
            self._write_labels(labels)
            for rows in files.values():
                rows.create()
            write_json(self.folder / ABOUT, self._about())
        except UserError:
            for rows in files.values():
                rows.path.unlink(missing_ok=True)
            if not existed:
                shutil.rmtree(self.folder, ignore_errors=True)
            raise

    @classmethod
    def started(cls, folder: Path, labels: np.ndarray, classes: int) -> "Recording":
        """Return the recording in a folder; UserError if there is none, or one of other samples."""
        about = read_json(folder / ABOUT, WHAT)
        with file_of(folder / ABOUT, WHAT):
            found = cls(
                folder,
                len(labels),
                int(about["classes"]),
                about["epochs"],
                float(about["probs_budget_mb"]),
            )
        if found.classes != classes:
            raise UserError(
                f"classes is {classes}, but {folder} was recorded with {found.classes}; resume with "
                "the same"
            )
        if not np.array_equal(map_npy(folder / "labels.npy", WHAT), labels):
            raise UserError(
                f"labels are not those that {folder} was recorded with; resume with the same samples "
                "in the same order"
            )
        for name, rows in found._files(found._latest).items():
            there = map_npy(rows.path, WHAT)
            if there.shape[1:] != rows.shape or there.dtype != rows.kind:
                raise UserError(f"{rows.path}: {name} is {there.dtype} {there.shape}: damaged?")
        return found

    @property
    def done(self) -> int:
        """The number of recorded epochs."""
        seen = map_npy(self.folder / "seen.npy", WHAT)
        done = len(seen)
        while done and not seen[done - 1].any():
            done -= 1
        return done

    def keeps_probs(self, epoch: int) -> bool:
        """Whether the full probabilities are kept of a 0-based epoch, and so of those before it."""
        epochs = self.epochs or epoch + 1
        return epochs * self.samples * self.classes * 2 <= self.probs_budget_mb * 1e6

    def write(self, epoch: int, arrays: Mapping[str, np.ndarray]) -> "Recording":
        """Write the row of a 0-based epoch, an array (N, …) per name; return what is recorded into next.

        Where the files grow, those of the full probabilities are dropped when they are too large.
        """
        if self.epochs is not None and epoch >= self.epochs:
            raise UserError(
                f"epochs is {self.epochs}, and as many are recorded: give epochs=None for a training "
                "whose length is not known"
            )
        after = self
        if self.probs_budget_mb and not self.keeps_probs(epoch) and self.epochs is None:
            after = replace(self, probs_budget_mb=0)
            write_json(self.folder / ABOUT, after._about())
            if epoch:
                say(
                    f"{self.folder}: after {epoch} epochs the full probabilities take more than "
                    f"{self.probs_budget_mb:g} MB and are dropped; the statistics are recorded on"
                )
            (self.folder / "probs.npy").unlink(missing_ok=True)
        for name, rows in after._files(epoch).items():
            rows.write(epoch, arrays[name])
        return after

    def cut(self, epoch: int) -> None:
        """Forget the epochs from a 0-based one on."""
        for rows in reversed(self._files(self._latest).values()):
            rows.cut(epoch)

    def flush(self) -> None:
        """Return when the disk has everything."""
        for rows in self._files(self._latest).values():
            rows.flush()

    @property
    def _latest(self) -> int:
        """The 0-based epoch whose files are there; where they do not grow, it may be any."""
        return max(0, self.done - 1) if self.epochs is None else 0

    def _files(self, epoch: int) -> dict[str, Rows]:
        """Return the files that have a row of a 0-based epoch, `seen` the last."""
        kinds: dict[str, tuple[tuple[int, ...], type[np.generic]]] = {}
        if self.keeps_probs(epoch):
            kinds["probs"] = ((self.samples, self.classes), np.float16)
        kinds |= {name: ((self.samples,), kind) for name, kind in STATISTICS.items()}
        return {
            name: Rows(self.folder / f"{name}.npy", shape, kind, self.epochs)
            for name, (shape, kind) in kinds.items()
        }

    def _about(self) -> dict[str, int | float | None]:
        return {
            "classes": self.classes,
            "epochs": self.epochs,
            "probs_budget_mb": self.probs_budget_mb,
        }

    def _write_labels(self, labels: np.ndarray) -> None:
        path = self.folder / "labels.npy"
        if path.exists():
            if not np.array_equal(map_npy(path, "an array of labels"), labels):
                raise UserError(f"{path} holds other labels than these: choose another folder")
            return
        with replacing(path) as temporary:
            np.save(temporary, labels, allow_pickle=False)
