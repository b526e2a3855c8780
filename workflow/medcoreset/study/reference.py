"""Reference tables for people, each made from what the code declares.

`TABLES` names them. A document has a table between `<!-- table: NAME -->` and `<!-- /table -->`;
`in_document` brings it up to date.
"""

import dataclasses
import html
import importlib
import inspect
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import click

from medcoreset import __main__ as command_line
from medcoreset.datasets.catalog import IMAGE_SIZES, SOURCES, Source, label, parse
from medcoreset.errors import UserError
from medcoreset.evidence.arrays import ARRAYS, GIVEN
from medcoreset.figures import CAPTIONS, KINDS, PARTS
from medcoreset.methods import METHODS, Method, listing
from medcoreset.networks import ARCHITECTURES
from medcoreset.options import Option
from medcoreset.producers.registry import PRODUCERS
from medcoreset.reporting.rules import RULES
from medcoreset.study.configuration import Study
from medcoreset.study.schema import schema
from medcoreset.training.options import TrainingOptions

CODE_WITH_BAR = re.compile(r"`([^`]*\|[^`]*)`")
MARKED = re.compile(r"(<!-- table: (\w+) -->)\n.*?(<!-- /table -->)", re.DOTALL)


def in_document(text: str) -> str:
    """Return a Markdown text with its marked tables made anew.

    Raises UserError for a table that there is none of.
    """
    return MARKED.sub(lambda found: f"{found[1]}\n\n{table(found[2])}\n\n{found[3]}", text)


def table(name: str) -> str:
    """Return one table as Markdown; UserError lists the names if there is none of that name."""
    if name not in TABLES:
        raise UserError(f"no table {name!r} (known: {', '.join(TABLES)})")
    return TABLES[name]()


def rows(columns: tuple[str, ...], cells: Sequence[tuple[str, ...]]) -> str:
    """Return a Markdown table; a bar or a line break within a cell does not end it."""
    lines = [columns, ("---",) * len(columns), *cells]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(text: str) -> str:
    text = CODE_WITH_BAR.sub(_as_html, " ".join(text.split()))
    return text.replace("|", "\\|")


def _as_html(code: re.Match[str]) -> str:
    """Return code with bars in HTML: in Markdown some programs show a backslash that others need."""
    return f"<code>{html.escape(code[1]).replace('|', '&#124;')}</code>"


# --- configuration -----------------------------------------------------------------------------


def _of_schema(kind: str) -> str:
    rules = schema(kind)
    required = rules.get("required", [])
    return rows(("key", "default", "meaning"), list(_keys(rules, required, "")))


def _keys(rules: Mapping[str, Any], required: list[str], prefix: str) -> Iterator[tuple[str, ...]]:
    for key, rule in rules["properties"].items():
        default = "required" if key in required else _default(rule)
        if "description" in rule:  # what is not described, the key above it describes
            yield f"`{prefix}{key}`", default, rule["description"]
        if key == "resources":
            continue
        if "properties" in rule:
            yield from _keys(rule, rule.get("required", []), f"{prefix}{key}.")
        others = rule.get("additionalProperties")
        if isinstance(others, dict) and "properties" in others:
            yield from _keys(others, others.get("required", []), f"{prefix}{key}.NAME.")


def _default(rule: Mapping[str, Any]) -> str:
    return f"`{_as_yaml(rule['default'])}`" if "default" in rule else "–"


def _as_yaml(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _resources() -> str:
    rules = schema("config")
    units = rules["$defs"]["resources"]["properties"]
    kinds = rules["properties"]["resources"]["properties"]
    columns = ("kind", "jobs", *(f"`{unit}` ({units[unit]['description']})" for unit in units))
    return rows(
        columns,
        [
            (f"`{kind}`", rule["description"], *(str(rule["default"][unit]) for unit in units))
            for kind, rule in kinds.items()
        ],
    )


def _training() -> str:
    cells = []
    for option in dataclasses.fields(TrainingOptions):
        default = TrainingOptions().as_dict()[option.name]
        allowed = _allowed(option)
        meaning = option.metadata["help"]
        meaning = f"{meaning[0].upper()}{meaning[1:]}."
        cells.append((f"`{option.name}`", f"`{_as_yaml(default)}`", allowed, meaning))
    return rows(("training option", "default", "allowed", "meaning"), cells)


def _allowed(option: dataclasses.Field[Any]) -> str:
    limits = option.metadata
    if limits["choices"]:
        return ", ".join(f"`{choice}`" for choice in limits["choices"])
    if isinstance(option.default, bool):
        return "`true`, `false`"
    words = {"above": "above", "least": "at least", "most": "at most"}
    return ", ".join(
        f"{word} {limits[key]:g}" for key, word in words.items() if limits[key] is not None
    )


def _rules() -> str:
    cells = []
    for name, rule in RULES.items():
        epoch = "last"
        if rule.checkpoint == "best":
            epoch = f"best {rule.select_metric} on {rule.select_split}"
        split: str = rule.split
        if rule.drop_incomplete:
            split += (
                f", its last incomplete batch of {rule.drop_incomplete} left out after a shuffle"
            )
        needs = "yes" if rule.needs_val else "no"
        cells.append((f"`{name}`", split, epoch, needs))
    return rows(("reporting rule", "split", "epoch", "needs validation data"), cells)


# --- registries --------------------------------------------------------------------------------


def _methods() -> str:
    cells = [
        (
            f"[`{name}`](#{name})",
            ", ".join(f"`{need}`" for need in method.needed()) or "–",
            method.reference,
            method.summary,
        )
        for name, method in sorted(METHODS.items())
    ]
    return rows(("method", "evidence", "reference", "what it does"), cells)


def _method_sections() -> str:
    return "\n\n".join(_method(method) for _, method in sorted(METHODS.items()))


def _method(method: Method) -> str:
    facts = [
        ("Evidence", ", ".join(f"`{need}`" for need in method.needed()) or "none"),
        ("Keeps", listing.kept(method)),
        ("Cost", method.cost),
        ("Reference", method.reference),
    ]
    if method.departs:
        facts.append(("Public code differs", method.departs))
    label = f" ({method.label})" if method.label != method.name else ""
    parts = [
        f"### `{method.name}`{label} {{ #{method.name} }}",
        _explained(method),
        "\n".join(f"- **{name}**: {text}" for name, text in facts),
        _options(method.options),
    ]
    return "\n\n".join(filter(None, parts))


def _explained(method: Method) -> str:
    """Return the docstring of the function that is the method, which also explains its options."""
    function = method.select or method.pick or method.prune or method.prioritize or method.score
    return inspect.getdoc(function) or method.summary


def _options(options: Mapping[str, Option]) -> str:
    if not options:
        return ""
    cells = [
        (f"`{each.name}`", f"`{_default_of(each)}`", each.allowed, each.help or "see above")
        for each in options.values()
    ]
    return rows(("option", "default", "allowed", "meaning"), cells)


def _default_of(option: Option) -> str:
    if isinstance(option.default, bool):
        return str(option.default).lower()
    return "none" if option.default is None else str(option.default)


def _differences() -> str:
    cells = [
        (f"`{name}`", method.departs) for name, method in sorted(METHODS.items()) if method.departs
    ]
    return rows(("method", "where well-known public code differs"), cells)


def _evidence() -> str:
    cells = []
    for name, array in ARRAYS.items():
        made = "your own" if name in GIVEN else "the pipeline"
        made = f"`{name}` of `producers/`" if name in PRODUCERS else made
        cells.append((f"`{name}`", f"({', '.join(array.shape)})", array.meaning, made))
    return rows(("array", "shape", "meaning", "made by"), cells)


def _networks() -> str:
    cells = []
    for name, network in ARCHITECTURES.items():
        options = [
            f"`{option}={default if isinstance(default, int) else '|'.join(default)}`"
            for option, default in network.options.items()
        ]
        family = f"networks/{network.family}.py"
        of = "volumes" if network.dimensions == 3 else "images"
        smallest = f"{network.smallest} pixels"
        cells.append((f"`{name}`", ", ".join(options) or "–", of, smallest, f"`{family}`"))
    return rows(("network", "options and defaults", "of", "from", "file"), cells)


def _figures() -> str:
    cells = [
        (
            f"`{name}`",
            kind.summary,
            "; ".join(text for part, text in PARTS.items() if part in kind.needs),
            ", ".join(f"`{row}`" for row in kind.rows) or "any",
        )
        for name, kind in KINDS.items()
    ]
    return rows(("figure", "shows", "drawn from", "rows that it compares"), cells)


def _captions() -> str:
    """Return what the report says below each figure."""
    return "\n\n".join(f"### `{name}`\n\n{_caption(name)}" for name in KINDS)


def _caption(name: str) -> str:
    """Return a caption as Markdown: reStructuredText's literals, and the experiment's name."""
    text = (CAPTIONS / f"{name}.rst").read_text(encoding="utf-8")
    text = text.replace("{{ snakemake.wildcards.experiment }}", "EXPERIMENT")
    return text.replace("``", "`").strip()


def _datasets() -> str:
    cells = []
    for name, source in SOURCES.items():
        if (sizes := _sizes(name, source)) is None:
            continue
        counts = [f"{source.counts.get(split, 0):,}" for split in ("train", "val", "test")]
        counts[1] = counts[1] if source.has_val else "held out"
        licence = source.licence or "see its `results/data/NAME.json`"
        classes = str(len(source.class_shares))
        classes += " labels, several per image" if source.multilabel else ""
        cells.append((f"`{name}`", label(parse(name)), classes, *counts, sizes, licence))
    columns = ("name", "dataset", "classes", "train", "val", "test", "pixels", "licence")
    return rows(columns, cells)


def _sizes(name: str, source: Source) -> str | None:
    """Return the sizes in which a source exists, None for one that is a size of another."""
    base, _, size = name.rpartition("_")
    if base in SOURCES and size.isdigit():
        return None
    others = [f"`_{other}`" for other in IMAGE_SIZES if f"{name}_{other}" in SOURCES]
    sizes = ", ".join([str(source.image_size), *others])
    return f"{sizes} (volumes)" if source.dimensions == 3 else sizes


def _targets() -> str:
    from medcoreset.study import configuration

    study: Study = configuration.load({})
    cells = []
    for name in sorted(study.experiments):
        experiment = study.experiments[name]
        group = experiment["group"] if experiment["group"] != "none" else "–"
        data = ", ".join(f"`{each}`" for each in experiment["datasets"])
        cells.append((f"`{name}`", group, data, _rates(experiment["rates"]), experiment["title"]))
    return rows(("target", "group", "datasets", "rates", "title"), cells)


def _rates(rates: list[float]) -> str:
    if len(rates) > 3:
        return f"{len(rates)}, {min(rates):g} to {max(rates):g}"
    return ", ".join(f"{rate:g}" for rate in rates) or "–"


# --- command line ------------------------------------------------------------------------------


def _commands() -> str:
    parts = []
    for name in command_line.STAGES:
        command = importlib.import_module(f"medcoreset.commands.{name}").command
        context = click.Context(command, info_name=f"medcoreset {name}")
        usage = command.get_usage(context).removeprefix("Usage: ")
        cells = [
            (f"`{record[0]}`", record[1])
            for param in command.get_params(context)
            if (record := param.get_help_record(context))
        ]
        text = " ".join((command.help or "").split())
        parts.append(f"### `{name}`\n\n{text}\n\n```text\n{usage}\n```")
        parts.append(rows(("option", "meaning"), cells))
    return "\n\n".join(parts)


TABLES: dict[str, Callable[[], str]] = {
    "config": lambda: _of_schema("config"),
    "resources": _resources,
    "experiment": lambda: _of_schema("experiment"),
    "protocol": lambda: _of_schema("protocol"),
    "claims": lambda: _of_schema("claims"),
    "training": _training,
    "rules": _rules,
    "methods": _methods,
    "methods_in_full": _method_sections,
    "differences": _differences,
    "evidence": _evidence,
    "networks": _networks,
    "figures": _figures,
    "captions": _captions,
    "datasets": _datasets,
    "targets": _targets,
    "commands": _commands,
}
"""Table → the function that makes it, as Markdown."""
