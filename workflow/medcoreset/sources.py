"""The code that a result is computed by: files, read off their imports, and one digest of them."""

import ast
import hashlib
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent

# They tell, wait, read, refuse, write and number versions; no result depends on how.
ASIDE = {
    PACKAGE / name
    for name in (
        "__init__.py",
        "atomic.py",
        "cost.py",
        "datasets/download.py",
        "errors.py",
        "locks.py",
        "provenance.py",
        "reading.py",
        "sources.py",
        "training/progress.py",
        "training/sources.py",
    )
}


@cache
def digest(*roots: Path, without: frozenset[Path] = frozenset()) -> str:
    """Return the SHA-256 of what `roots`, and all files of the package that they import, say.

    Comments, docstrings and layout say nothing. Files that are not of the package may be roots.
    Files of `without`, and what they alone import, do not count.
    """
    found = hashlib.sha256()
    for file in files(*roots, without=without):
        found.update(f"{_name(file)}\n{_statements(file)}\n".encode())
    return found.hexdigest()


@cache
def files(*roots: Path, without: frozenset[Path] = frozenset()) -> tuple[Path, ...]:
    """Return `roots`, and the files of the package that they import, or that these import, and so on.

    What is imported by a name that is computed, as networks and methods are, is not found: its file
    is to be a root of its own.
    """
    found, aside = list(dict.fromkeys(roots)), ASIDE | without
    for file in found:
        found += [other for other in _imported(file) if other not in found and other not in aside]
    return tuple(found)


@cache
def _imported(path: Path) -> list[Path]:
    """Return the files of the package that one imports, at its top or inside of functions.

    They are read and not run, for much is imported late.
    """
    names: list[str | None] = []
    for node in ast.walk(_parsed(path)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    places = [PACKAGE.parent / str(name).replace(".", "/") for name in dict.fromkeys(names)]
    candidates = [
        file for place in places for file in (place.with_suffix(".py"), place / "__init__.py")
    ]
    return [file for file in candidates if file.is_relative_to(PACKAGE) and file.is_file()]


@cache
def _statements(path: Path) -> str:
    """Return a file's statements, without comments and docstrings, in one layout."""
    tree = _parsed(path)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            continue
        if ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _name(path: Path) -> str:
    """Return what a file is called wherever the package lies."""
    return path.relative_to(PACKAGE).as_posix() if path.is_relative_to(PACKAGE) else path.name
