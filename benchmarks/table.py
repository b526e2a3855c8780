"""The rows of a benchmark, as CSV and as a table to read."""

import csv
import io
from dataclasses import dataclass
from pathlib import Path

COLUMNS = ("section", "case", "unit", "ours", "reference", "ratio")


@dataclass(frozen=True)
class Row:
    """One measurement; `ratio` is ours over the reference."""

    section: str
    case: str
    unit: str
    ours: float
    reference: float | None

    def cells(self) -> list[str]:
        reference = self.reference
        ratio = None if reference is None else self.ours / reference
        values = [self.ours, reference, ratio]
        shown = ["" if value is None else f"{value:.4g}" for value in values]
        return [self.section, self.case, self.unit, *shown]


def write(path: Path, rows: list[Row]) -> str:
    """Write rows in the place of those of the same sections in `path`; return them as a table."""
    fresh = {row.section for row in rows}
    kept = []
    if path.exists():
        kept = [line for line in csv.reader(path.open()) if line[0] not in {"section", *fresh}]
    lines = sorted(kept + [row.cells() for row in rows], key=lambda line: line[0])
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([COLUMNS, *lines])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.getvalue())
    return markdown([list(COLUMNS), *lines])


def markdown(lines: list[list[str]]) -> str:
    """Align lines as a Markdown table, the first as its head."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    shown = [
        "| " + " | ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)) + " |"
        for line in lines
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([shown[0], rule, *shown[1:]])
