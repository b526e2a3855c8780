"""Validation of the configuration files, with one line per mistake."""

import contextlib
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match

from medcoreset.errors import UserError

ROOT = Path(__file__).parents[3]
SCHEMAS = ROOT / "workflow" / "schemas"


@cache
def schema(kind: str) -> dict[str, Any]:
    """Return the JSON Schema of one kind of file: `config`, `protocol` or `experiment`."""
    return read_yaml(SCHEMAS / f"{kind}.schema.yaml")


def read_yaml(path: Path) -> Any:
    """Return the content of a YAML file; a syntax error is a UserError that names its line."""
    try:
        return yaml.load(path.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:
        line = f" line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise UserError(f"{path}{line}: not valid YAML: {error.problem}") from None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None


def validated(document: Any, kind: str, source: str | Path) -> dict[str, Any]:
    """Return a copy of `document` with the schema's defaults filled in.

    Raises UserError with one line that names `source`, the key, its value and what is allowed.
    """
    rules = schema(kind)
    mistake = best_match(Draft202012Validator(rules).iter_errors(document))
    if mistake is not None:
        raise UserError(f"{source}: {_explained(mistake)}")
    return _with_defaults(document, rules, rules)


def typed(value: Any, kind: str) -> Any:
    """Return a document with the types that its schema asks for where it has text.

    `snakemake --config` gives `true`, and anything inside a mapping, as text.
    """
    return _typed(value, schema(kind), schema(kind))


def _typed(value: Any, rules: dict[str, Any], root: dict[str, Any]) -> Any:
    rules = rules | _resolved(rules, root)
    if isinstance(value, str) and "type" in rules and "string" not in rules["type"]:
        with contextlib.suppress(yaml.YAMLError):
            value = yaml.safe_load(value)
    if isinstance(value, dict):
        others = rules.get("additionalProperties") or {}
        of_key = rules.get("properties", {})
        return {key: _typed(inner, of_key.get(key, others), root) for key, inner in value.items()}
    return value


def _with_defaults(value: Any, rules: dict[str, Any], root: dict[str, Any]) -> Any:
    rules = rules | _resolved(rules, root)
    if not isinstance(value, dict) or "properties" not in rules:
        return deepcopy(value)
    filled = dict(value)
    for key, rule in rules["properties"].items():
        rule = rule | _resolved(rule, root)
        default = rule.get("default")
        if key not in filled and "default" in rule:
            filled[key] = deepcopy(default)
        elif isinstance(default, dict) and isinstance(filled.get(key), dict):
            filled[key] = default | filled[key]
        if key in filled:
            filled[key] = _with_defaults(filled[key], rule, root)
    return filled


def _resolved(rules: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    reference = rules.get("$ref")
    return root["$defs"][reference.rsplit("/", 1)[1]] if reference else {}


def _explained(mistake: ValidationError) -> str:
    """Say in one line which key is wrong, its value, and what is allowed."""
    key = mistake.json_path.removeprefix("$").removeprefix(".") or "the file"
    value, limit = mistake.instance, mistake.validator_value
    match mistake.validator:
        case "additionalProperties":
            allowed = mistake.schema.get("properties", {})
            unknown = ", ".join(repr(name) for name in value if name not in allowed)
            inside = "" if key == "the file" else f" in {key}"
            return f"unknown key {unknown}{inside} (allowed: {', '.join(allowed)})"
        case "required":
            missing = ", ".join(repr(name) for name in limit if name not in value)
            inside = "" if key == "the file" else f" in {key}"
            return f"missing key {missing}{inside}"
        case "enum":
            allowed = f"one of {', '.join(map(str, limit))}"
        case "type":
            allowed = f"of type {limit if isinstance(limit, str) else ' or '.join(limit)}"
        case "minimum":
            allowed = f"at least {limit}"
        case "exclusiveMinimum":
            allowed = f"greater than {limit}"
        case "maximum":
            allowed = f"at most {limit}"
        case "exclusiveMaximum":
            allowed = f"less than {limit}"
        case "minItems" | "minProperties":
            return f"{key} is empty, must have at least {limit} entry"
        case "uniqueItems":
            return f"{key} is {value!r}, must not repeat an entry"
        case _:
            return f"{key}: {mistake.message}"
    return f"{key} is {value!r}, must be {allowed}"
