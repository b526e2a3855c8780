"""Figures of an experiment, one module each, in which `draw` returns the figure.

A module that declares `NEEDS` is a figure of its name, with a caption in `workflow/report/NAME.rst`:

- `NEEDS`: what it is drawn from, so that the workflow asks for no more (`PARTS`).
- `ROWS`, if it compares certain rows: patterns of their keys, one row of each at least.
- `OF_CLASSES = True`, if it shows images by class, which those with several labels have none of.
- `OF_MEANS = True`, if it can be drawn of a table without single runs, as papers print theirs.

`draw` takes the plan and, where it needs it, the table with every cell's single runs, or the numbers
that its module's `numbers` makes of the plan and that lie beside it as .csv. The declarations are read
and not imported, for every plan looks at them and matplotlib is slow to import.
"""

import ast
from pathlib import Path
from typing import Any, NamedTuple

from medcoreset.errors import UserError

CAPTIONS = Path(__file__).parents[2] / "report"
PARTS = {
    "table": "the experiment's table and single runs",
    "numbers": "numbers of its own, kept beside it as .csv",
    "sources": "the dataset and the training dynamics of a surrogate",
    "scores": "the scores by one surrogate",
    "rankings": "the scores by every surrogate",
    "windows": "the scores of all pairs of EVA's windows",
    "runs": "the metrics and coresets of the runs",
}
"""What figures are drawn from."""


class Figure(NamedTuple):
    """What a module declares of its figure; `summary` is the first line of its docstring."""

    needs: frozenset[str]
    rows: tuple[str, ...]
    of_classes: bool
    of_means: bool
    summary: str


def read(folder: Path, captions: Path = CAPTIONS) -> dict[str, Figure]:
    """Return the figures that the modules in `folder` declare, by name.

    Raises UserError, which names the file, for a declaration that is not as it should be, for a
    module without docstring or `draw`, and for a figure without a caption.
    """
    figures = {}
    for path in sorted(folder.glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        declared = {
            node.targets[0].id: node.value
            for node in tree.body
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        }
        if path.stem == "__init__" or "NEEDS" not in declared:
            continue
        needs, rows = (_texts(path, name, declared) for name in ("NEEDS", "ROWS"))
        if unknown := ", ".join(sorted(set(needs) - set(PARTS))):
            raise UserError(f"{path}: NEEDS names {unknown}; a figure can need {', '.join(PARTS)}")
        names = {getattr(node, "name", "") for node in tree.body} | set(declared)
        for name in ("draw", *(["numbers"] if "numbers" in needs else [])):
            if name not in names:
                raise UserError(f"{path}: a figure with NEEDS = {needs} has a function {name}")
        document = ast.get_docstring(tree)
        if not document:
            raise UserError(f"{path}: a docstring is missing, whose first line says what is shown")
        caption = captions / f"{path.stem}.rst"
        if captions.is_dir() and not caption.is_file():  # a wheel has no workflow, so no captions
            raise UserError(f"{path}: its caption {caption} is missing, which the report shows")
        summary = document.partition("\n")[0]
        marks = ("OF_CLASSES" in declared, "OF_MEANS" in declared)
        figures[path.stem] = Figure(frozenset(needs), rows, *marks, summary)
    return figures


def _texts(path: Path, name: str, declared: dict[str, ast.expr]) -> tuple[str, ...]:
    try:
        value: Any = ast.literal_eval(declared[name]) if name in declared else ()
    except ValueError:
        value = None
    if not isinstance(value, tuple) or not all(isinstance(each, str) for each in value):
        raise UserError(f"{path}: {name} must be a tuple of texts, written out")
    return value


KINDS = read(Path(__file__).parent)
FIGURES = {name: figure.needs for name, figure in KINDS.items()}
"""Figure → which of `PARTS` it is drawn from."""
ROWS = {name: figure.rows for name, figure in KINDS.items() if figure.rows}
"""Figure → the rows that it compares, as patterns of their keys: one of each at least."""
