"""YAML, read as people mean it: a mistake is one line that names the file and the line in it."""

import math
import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any, ClassVar

import yaml

from medcoreset.errors import UserError
from medcoreset.reading import file_of, read_text

DEPTH = 30
"""Levels that a document may have."""
SIZE = 100_000
"""Values that a document may have, those behind aliases counted wherever they are named."""

# In C, where PyYAML was built with it: a study has dozens of files, and every job reads them.
_Safe: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Safe):  # type: ignore[misc]  # PyYAML has no types
    """What a word stands for is YAML 1.2's: 1e-1 is a number, `no` and a date are text."""

    yaml_implicit_resolvers: ClassVar[dict[str | None, list[Any]]] = {}

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return a mapping, in which no key stands twice."""
        seen: set[Hashable] = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if isinstance(key, yaml.ScalarNode) and key.value != "<<":
                value = self.construct_object(key)
                if value in seen:
                    raise _mistake(f"the key {key.value!r} stands twice", key)
                seen.add(value)
        return super().construct_mapping(node, deep)


def _number(loader: _Loader, node: yaml.ScalarNode) -> int | float:
    text = loader.construct_scalar(node).replace("_", "")
    if len(text) > 100:
        raise _mistake("a number of more than 100 digits", node)
    number = int(text) if text.lstrip("+-").isdecimal() else float(text)
    if not math.isfinite(number):
        raise _mistake(f"{text} is too large a number", node)
    return number


def _mistake(problem: str, node: yaml.Node) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)


_TAG = "tag:yaml.org,2002:"
for _name, _pattern in {
    "null": r"~|null|Null|NULL|",
    "bool": r"true|True|TRUE|false|False|FALSE",
    "int": r"[-+]?[0-9][0-9_]*",
    "float": r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?",
    "merge": "<<",
}.items():
    _Loader.add_implicit_resolver(_TAG + _name, re.compile(f"(?:{_pattern})$"), None)
for _name in ("int", "float"):
    _Loader.add_constructor(_TAG + _name, _number)


def read_yaml(path: Path) -> Any:
    """Return the content of a YAML file; UserError, which names its line, for one that is damaged."""
    return parse_yaml(read_text(path, "a YAML file in UTF-8"), path)


def parse_yaml(text: str, source: str | Path) -> Any:
    """Return what YAML text stands for; `source` is named in errors, which are as in `read_yaml`."""
    with file_of(source, "valid YAML"):
        try:
            _check_size(text)
            return yaml.load(text, Loader=_Loader)
        except yaml.MarkedYAMLError as error:
            line = f" line {error.problem_mark.line + 1}" if error.problem_mark else ""
            raise UserError(f"{source}{line}: not valid YAML: {error.problem}") from None


def _check_size(text: str) -> None:
    """Raise an error for a document that nests deeply, contains itself, or is large in full.

    Before it is composed: the composer of the C library calls itself for every level.
    """
    sizes: dict[str | None, int] = {}
    open_: list[tuple[str | None, int]] = []
    size = 0
    for event in yaml.parse(text, Loader=_Loader):
        anchor = getattr(event, "anchor", None)
        if isinstance(event, yaml.CollectionStartEvent):
            open_.append((anchor, size))
        elif isinstance(event, yaml.CollectionEndEvent):
            name, before = open_.pop()
            if name:
                sizes[name] = size - before
        elif isinstance(event, yaml.AliasEvent):
            if any(name == anchor for name, _ in open_):
                raise _mistake(f"*{anchor} is within what it stands for", event)
            size += sizes.get(anchor, 1)
        size += isinstance(event, yaml.NodeEvent)
        if len(open_) > DEPTH:
            raise _mistake(f"more than {DEPTH} levels", event)
        if size > SIZE:
            raise _mistake(f"more than {SIZE:,} values", event)


def check_values(document: Any, source: str) -> None:
    """Raise a UserError for values that nest deeply, contain themselves, are too many, or no numbers."""
    pending: list[tuple[Any, tuple[Any, ...]]] = [(document, ())]
    size = 0
    while pending:
        value, keys = pending.pop()
        where = ".".join(map(str, keys[:5])) or "the file"
        size += 1
        if len(keys) > DEPTH or size > SIZE:
            raise UserError(f"{source}: {where} has more than {DEPTH} levels or {SIZE:,} values")
        if isinstance(value, float) and not math.isfinite(value):
            raise UserError(f"{source}: {where} is {value}, must be a finite number")
        if isinstance(value, dict | list | tuple):
            inner = value.items() if isinstance(value, dict) else enumerate(value)
            pending += [(each, (*keys, key)) for key, each in inner]
