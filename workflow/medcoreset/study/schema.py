"""Validation of the configuration files, with one line per mistake."""

import contextlib
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match

from medcoreset.errors import UserError
from medcoreset.study.documents import check_values, parse_yaml, read_yaml
from medcoreset.training.options import WORDS

ROOT = Path(__file__).parents[3]
SCHEMAS = ROOT / "workflow" / "schemas"


@cache
def schema(kind: str) -> dict[str, Any]:
    """Return the JSON Schema of one kind of file: `config`, `protocol` or `experiment`."""
    return read_yaml(SCHEMAS / f"{kind}.schema.yaml")


def validated(document: Any, kind: str, source: str | Path) -> dict[str, Any]:
    """Return a copy of `document` in the types of its schema, with the defaults filled in.

    Where an integer is asked, 3.0 is 3, and where true or false, `yes` is true. Raises UserError
    with one line that names `source`, the key, its value and what is allowed.
    """
    check_values(document, str(source))
    rules = schema(kind)
    document = _typed(document, rules, rules, texts=False)
    mistake = best_match(Draft202012Validator(rules).iter_errors(document))
    if mistake is not None:
        raise UserError(f"{source}: {_explained(mistake)}")
    return _with_defaults(document, rules, rules)


def typed(value: Any, kind: str) -> Any:
    """Return a document with the types that its schema asks for where it has text.

    `snakemake --config` gives `true`, and anything inside a mapping, as text.
    """
    check_values(value, "configuration")
    return _typed(value, schema(kind), schema(kind), texts=True)


def _typed(value: Any, rules: dict[str, Any], root: dict[str, Any], *, texts: bool) -> Any:
    branches = [rules | _resolved(rules, root)]
    branches += branches[0].get("anyOf", [])
    kinds = {kind for each in branches for kind in _listed(each.get("type", []))}
    if isinstance(value, str) and kinds and "string" not in kinds:
        if "boolean" in kinds:
            value = WORDS.get(value.lower(), value)
        elif texts:
            with contextlib.suppress(UserError):
                value = parse_yaml(value, "configuration")
    if (
        isinstance(value, float)
        and value.is_integer()
        and "integer" in kinds
        and "number" not in kinds
    ):
        return int(value)
    if isinstance(value, dict):
        of_key = branches[0].get("properties", {})
        others = branches[0].get("additionalProperties") or {}
        if of_key or others:  # these are names; `2024: …` is one too
            value = {str(key): inner for key, inner in value.items()}
        return {
            key: _typed(inner, of_key.get(key, others), root, texts=texts)
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        items: dict[str, Any] = next((each["items"] for each in branches if "items" in each), {})
        return [_typed(each, items, root, texts=texts) for each in value]
    return value


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _with_defaults(value: Any, rules: dict[str, Any], root: dict[str, Any]) -> Any:
    rules = rules | _resolved(rules, root)
    if not isinstance(value, dict):
        return deepcopy(value)
    filled, of_key = dict(value), rules.get("properties", {})
    if isinstance(others := rules.get("additionalProperties"), dict):
        for key in filled.keys() - of_key.keys():
            filled[key] = _with_defaults(filled[key], others, root)
    for key, rule in of_key.items():
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
            unknown = ", ".join(_shown(name) for name in value if name not in allowed)
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
            twice = next((each for i, each in enumerate(value) if each in value[:i]), "one")
            return f"{key} is {_shown(value)}, must not repeat an entry, as {_shown(twice)}"
        case "maxItems":
            return f"{key} has {len(value):,} entries, must have at most {limit:,}"
        case _:
            return f"{key}: {' '.join(mistake.message.split())[:500]}"
    return f"{key} is {_shown(value)}, must be {allowed}"


def _shown(value: Any) -> str:
    """Return a value as errors show it, a long one in part."""
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:190]} … ({len(text):,} characters)"
