"""The rows of a benchmark, as CSV and as a table to read."""

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

COLUMNS = ("section", "case", "unit", "ours", "reference", "ratio", "goal", "reached")


@dataclass(frozen=True)
class Goal:
    """What a measurement should be: at least or at most `bound`, of what is ours or of the ratio."""

    sign: Literal[">=", "<="]
    bound: float
    of: Literal["ratio", "ours"] = "ratio"

    def __str__(self) -> str:
        return f"{self.of} {self.sign} {self.bound:g}"

    def reached(self, ours: float, ratio: float | None) -> bool:
        value = ours if self.of == "ours" else ratio
        return value >= self.bound if self.sign == ">=" else value <= self.bound


@dataclass(frozen=True)
class Row:
    """One measurement; `ratio` is ours over the reference."""

    section: str
    case: str
    unit: str
    ours: float
    reference: float | None = None
    goal: Goal | None = None

    def cells(self) -> list[str]:
        reference = self.reference
        ratio = None if reference is None else self.ours / reference
        values = [self.ours, reference, ratio]
        shown = ["" if value is None else f"{value:.4g}" for value in values]
        judged = ["", ""]
        if self.goal:
            judged = [str(self.goal), "yes" if self.goal.reached(self.ours, ratio) else "no"]
        return [self.section, self.case, self.unit, *shown, *judged]


def write(path: Path, rows: list[Row]) -> str:
    """Write rows in the place of those of the same sections in `path`; return them as a table."""
    fresh = {row.section for row in rows}
    kept = []
    if path.exists():
        lines = csv.DictReader(path.open())
        # A file may be older than a column.
        kept = [
            [line.get(column) or "" for column in COLUMNS]
            for line in lines
            if line["section"] not in fresh
        ]
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
