"""What datasets are read from, and what that holds: other contents prepare them again, times do not."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from medcoreset import contents, identity
from medcoreset.datasets import catalog, layout
from medcoreset.datasets.catalog import SOURCES
from medcoreset.errors import UserError
from medcoreset.sources import PACKAGE, digest, files
from medcoreset.study.configuration import Study

DATASETS = PACKAGE / "datasets"
CONDITIONS = DATASETS / "conditions.py"
"""What makes datasets of others, and counts in the recipes of those alone."""
READERS = {
    "digits": ("digits",),
    "medmnist": ("medmnist",),
    "torchvision": ("vision",),
    "tinyimagenet": ("tinyimagenet",),
    "imagenet": ("folder",),
    "braintumor": ("braintumor",),
    "own": ("folder", "npz"),
}
"""The files that read each kind of source."""


@dataclass(frozen=True)
class Inputs:
    """What the datasets of a study are read from, and by what code."""

    study: Study

    @property
    def kept(self) -> str:
        """The file that keeps what files hold."""
        return self.study.path(".contents.json")

    def files(self, dataset: str) -> list[str]:
        """Return what a dataset is read from, where that is on disk and Snakemake can name it."""
        return [path for path in self._files(dataset) if "{" not in path]

    def contents(self, dataset: str) -> str:
        """Return the SHA-256 of what these files hold: its change reruns, that of a time does not.

        A rehearsal of a folder of images is like it in its classes alone, and reads no image.
        """
        own = self.study.own(dataset)
        if not self._files(dataset):
            return ""
        if own is None:
            return official_contents(self.study.base(dataset), self._data_dir, self.kept)
        if Path(own["path"]).is_dir():
            return folder_contents(own["path"], None if self.study.rehearses else self.kept)
        return file_contents(own["path"], self.kept)

    def code(self, dataset: str) -> str:
        """Return the SHA-256 of the code that prepares a dataset, with its reader and no other."""
        own = self.study.own(dataset)
        kind = catalog.SOURCES[self.study.base(dataset)].reader if own is None else "own"
        used = files(*(DATASETS / f"{name}.py" for name in READERS[kind]))
        others = {DATASETS / f"{name}.py" for names in READERS.values() for name in names}
        if self.study.rehearses:
            return digest(DATASETS / "sources.py", without=frozenset({CONDITIONS}))
        others |= {DATASETS / "stand_in.py", CONDITIONS}
        return digest(DATASETS / "sources.py", without=frozenset(others.difference(used)))

    def _files(self, dataset: str) -> list[str]:
        if own := self.study.own(dataset):
            return [own["path"]] if Path(own["path"]).exists() else []
        return official(self.study.base(dataset), self._data_dir)

    @property
    def _data_dir(self) -> str | None:
        return None if self.study.rehearses else self.study.config["data_dir"]


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
