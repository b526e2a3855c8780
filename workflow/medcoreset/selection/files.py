"""The files of scores, window scores and coresets (`.npz` without pickles)."""

import os
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from medcoreset import cost
from medcoreset.atomic import check_output, replacing, write_npz
from medcoreset.errors import UserError
from medcoreset.provenance import check_recipe
from medcoreset.reading import read_npz
from medcoreset.selection.selection import Selection, as_json, described


def write_coresets(
    folder: str | Path,
    coresets: Mapping[int, Selection],
    dataset: str,
    recipe: str,
    took: cost.Cost,
) -> None:
    """Write the coreset of each seed to `folder`/seedS.npz; the folder appears whole or not at all.

    `dataset` is the SHA-256 of the dataset that the coresets were selected from, `recipe` what they
    were made by; what one of them `took` is kept beside them.
    """
    folder = Path(folder)
    check_coresets(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as temporary:
        made = Path(temporary) / folder.name
        for seed, selection in coresets.items():
            selection.save(made / f"seed{seed}.npz", dataset_sha256=dataset, recipe=recipe)
        took.write(made / cost.FILE)
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(made, folder)


def check_coresets(folder: Path) -> None:
    """Raise UserError unless a folder of coresets can be put there: one that holds more is not replaced."""
    check_output(folder, folder=True)
    if folder.is_symlink():
        raise UserError(f"{folder} is a link, and a folder of coresets is to be made there")
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        # Snakemake marks the folders that it makes.
        if not re.fullmatch(r"seed\d+\.npz|cost\.json|\.snakemake_timestamp", path.name):
            raise UserError(
                f"{folder} holds {path.name}, which is no coreset: choose another folder"
            )


def write_scores(
    path: str | Path,
    scores: np.ndarray,
    method: str,
    options: Mapping[str, Any],
    dataset: str,
    recipe: str,
) -> None:
    """Write scores (N,) with the method, the options they depend on, the dataset's SHA-256, recipe."""
    about = described(method, options, dataset_sha256=dataset, recipe=recipe)
    write_npz(path, scores=scores, **about)


def read_scores(
    path: str | Path,
    method: str,
    options: Mapping[str, Any],
    *,
    samples: int,
    dataset: str,
    recipe: str,
) -> np.ndarray:
    """Return scores (N,) that `write_scores` wrote for this method, these options, this dataset.

    Raises UserError if they are of another one, of another recipe where one is expected, or not a
    number for each of its N = `samples`.
    """
    expected = {"method": method, "options": as_json(options), "dataset_sha256": dataset}
    file = read_npz(path, "a file of scores", "scores", "recipe", *expected)
    for key, value in expected.items():
        if str(file[key]) != value:
            raise UserError(f"{path}: its {key} is {file[key]}, not {value}")
    check_recipe(path, str(file["recipe"]), recipe)
    scores = file["scores"]
    if scores.shape != (samples,) or scores.dtype.kind != "f":
        raise UserError(
            f"{path}: scores is {scores.dtype} {scores.shape}, but it is to be real ({samples},)"
        )
    return scores.astype(np.float64)


def write_windows(
    path: str | Path,
    pairs: np.ndarray,
    rows: Iterable[np.ndarray],
    samples: int,
    options: Mapping[str, Any],
    dataset: str,
    recipe: str,
) -> None:
    """Write the scores (P, N), float32, of window pairs (P, 2), one row after the other.

    The rows are never in memory together: all pairs of a large training set are gigabytes.
    """
    pairs = np.asarray(pairs, dtype=np.int64)
    layout = {"descr": "<f4", "fortran_order": False, "shape": (len(pairs), samples)}
    description: dict[str, Any] = described("eva", options, dataset_sha256=dataset, recipe=recipe)
    with replacing(path) as temporary:
        np.savez(temporary, pairs=pairs, length=np.int64(options["length"]), **description)
        with (
            zipfile.ZipFile(temporary, "a") as archive,
            archive.open(zipfile.ZipInfo("scores.npy"), "w", force_zip64=True) as member,
        ):
            np.lib.format.write_array_header_1_0(member, layout)
            for row in rows:
                member.write(row.astype("<f4").data)
