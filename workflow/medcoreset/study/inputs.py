"""What datasets are read from, and what that holds: other contents prepare them again, times do not."""

from functools import cache
from pathlib import Path

from medcoreset import contents, identity
from medcoreset.datasets import layout
from medcoreset.datasets.catalog import SOURCES
from medcoreset.errors import UserError


def official(base: str, data_dir: str | None) -> list[str]:
    """Return the files and folders of a public dataset that are in `data_dir`."""
    if data_dir is None or base not in SOURCES:
        return []
    places = dict.fromkeys(pattern.partition("/")[0] for pattern in SOURCES[base].files)
    return [str(path) for place in places if (path := Path(data_dir, place)).exists()]


@cache
def official_contents(base: str, data_dir: str, kept: str) -> str:
    """Return the SHA-256 of what a public dataset's files in `data_dir` hold."""
    root = Path(data_dir)
    found = [path for pattern in SOURCES[base].files for path in root.glob(pattern)]
    names = [path.relative_to(root).as_posix() for path in found if path.is_file()]
    return contents.digest(root.resolve(), names, kept)


@cache
def file_contents(path: str, kept: str) -> str:
    """Return the SHA-256 of what an own file holds."""
    return contents.digest(Path(path).resolve().parent, [Path(path).resolve().name], kept)


@cache
def folder_contents(path: str, kept: str | None) -> str:
    """Return the SHA-256 of an own folder's splits and classes, and with `kept` of what its images hold.

    Of a folder that is refused it is that of the reason: to say it is left to the job.
    """
    try:
        found = layout.find("", path)
    except UserError as refused:
        return identity.digest(str(refused))
    held = "" if kept is None else contents.digest(found.root, found.paths(), kept)
    return identity.digest([found.class_names, found.splits, held])
