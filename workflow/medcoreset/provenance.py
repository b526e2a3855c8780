"""What made a result, carried by the result itself, and the digests that show damage to its files.

A recipe is the SHA-256 of all that a study says about how something is made: options, code, and the
recipes of what it is made from. A job writes the recipe of its output into it, and refuses inputs of
another recipe than the study has now, however they came to be where they are.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from medcoreset.atomic import write_json
from medcoreset.errors import UserError
from medcoreset.reading import read_json, sha256_of

SEAL = "seal.json"
AGAIN = "run Snakemake with --forceall, which trains again only what does not fit"


def check_recipe(path: str | Path, found: str, expected: str) -> None:
    """Raise UserError if what lies at `path` was made by another recipe than the `expected` one.

    Nothing is expected, "", of files that are given by hand.
    """
    if expected and found != expected:
        raise UserError(
            f"{path} does not fit the plan, it was made by other options or other code: {AGAIN}"
        )


def check_inputs(expected: Sequence[str], *found: tuple[str | Path, str]) -> None:
    """Raise UserError for the first input, a path and its recipe, that is not of what is expected."""
    for (path, recipe), wanted in zip(found, expected, strict=False):
        check_recipe(path, recipe, wanted)


def seal(folder: str | Path, names: Iterable[str], recipe: str, dataset: str) -> None:
    """Write the SHA-256 of files of `folder` to its `seal.json`, with their recipe.

    `dataset` is the SHA-256 of the data that they are about. Files sealed before stay sealed.
    """
    folder = Path(folder)
    files = sealed_files(folder) | digests(folder, names)
    write_json(folder / SEAL, {"recipe": recipe, "dataset_sha256": dataset, "files": files})


def read_seal(folder: str | Path) -> dict[str, Any]:
    """Return the seal of a folder; one that has none was made by hand, and nothing is known of it."""
    path = Path(folder) / SEAL
    if not path.exists():
        return {"recipe": "", "dataset_sha256": "", "files": {}}
    found = read_json(path, "the seal of a folder of evidence")
    if not isinstance(found.get("files"), dict):
        raise UserError(f"{path} is not the seal of a folder of evidence: it lists no files")
    return found


def sealed_files(folder: str | Path) -> dict[str, str]:
    """Return the SHA-256 of each sealed file of a folder, by its name."""
    return read_seal(folder)["files"]


def digests(folder: str | Path, names: Iterable[str]) -> dict[str, str]:
    """Return the SHA-256 of files of a folder, by name."""
    return {name: sha256_of(Path(folder) / name) for name in names}


def check_file(path: str | Path, sha256: str) -> None:
    """Raise UserError if a file is not as it was written."""
    if not is_intact(path, sha256):
        raise UserError(f"{path} was damaged or changed since it was written: {AGAIN}")


def is_intact(path: str | Path, sha256: str) -> bool:
    """Say whether a file is there and as it was written."""
    try:
        return sha256_of(path) == sha256
    except OSError:
        return False
