"""The files whose change changes a method, read off their imports."""

import ast
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[1]

ROOMS = (PACKAGE / "methods", PACKAGE / "evidence")

# What all methods stand on. It decides what they are given and how they are found, not what they
# compute; its change is not to rerun everything.
FRAME = (
    PACKAGE / "methods" / "registry.py",
    PACKAGE / "methods" / "options.py",
    PACKAGE / "evidence" / "evidence.py",
)


def sources(path: Path) -> tuple[Path, ...]:
    """Return a method's file, and those in `ROOMS` that it imports, or that they import, and so on."""
    found = [path]
    for file in found:
        found += [other for other in _imported(file) if other not in found]
    return tuple(found)


@cache
def _imported(path: Path) -> list[Path]:
    """Return the files in `ROOMS` that one imports, at its top or inside of functions.

    They are read and not run, for methods import late what imports torch.
    """
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    files = [PACKAGE.parent / f"{str(name).replace('.', '/')}.py" for name in dict.fromkeys(names)]
    return [file for file in files if file.parent in ROOMS and file not in FRAME and file.is_file()]
