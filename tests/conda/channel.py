"""A conda channel on disk whose packages are this machine's Python and pip."""

import hashlib
import io
import json
import platform
import tarfile
import venv
from importlib import metadata
from pathlib import Path


def build(channel: Path, subdir: str) -> None:
    """Write the channel: `python`, a virtual environment of this Python, and `pip`.

    `subdir` is what conda calls this kind of machine, linux-64 for example.
    """
    python = channel / "python"
    venv.EnvBuilder(symlinks=True).create(python)
    files = [python / "pyvenv.cfg", *sorted((python / "bin").glob("python*"))]
    version = platform.python_version()
    site = Path("lib", f"python{version.rpartition('.')[0]}", "site-packages")
    pip = metadata.distribution("pip")
    parts = [file for file in pip.files or () if file.suffix != ".pyc" and ".." not in file.parts]
    (channel / subdir).mkdir()
    records = [
        _pack(channel / subdir, "python", version, {f.relative_to(python): f for f in files}),
        _pack(channel / subdir, "pip", pip.version, {site / f: f.locate() for f in parts}),
    ]
    (channel / "noarch").mkdir()
    for folder, found in ((subdir, records), ("noarch", [])):
        packages = {"info": {"subdir": folder}, "packages": {r["fn"]: r for r in found}}
        (channel / folder / "repodata.json").write_text(json.dumps(packages))


def _pack(folder: Path, name: str, version: str, files: dict[Path, Path]) -> dict:
    """Write a package of these files, by their places in an environment; return its record."""
    index = {"name": name, "version": version, "build": "0", "build_number": 0, "depends": []}
    index["subdir"] = folder.name
    path = folder / f"{name}-{version}-0.tar.bz2"
    with tarfile.open(path, "w:bz2") as package:
        _add(package, "info/index.json", json.dumps(index))
        _add(package, "info/files", "".join(f"{place}\n" for place in files))
        for place, file in files.items():
            package.add(file, str(place))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return index | {"fn": path.name, "sha256": digest, "size": path.stat().st_size}


def _add(package: tarfile.TarFile, name: str, text: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(text.encode())
    package.addfile(entry, io.BytesIO(text.encode()))
