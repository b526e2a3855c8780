"""YAML is read as people mean it, and what cannot be read is one line that names its place."""

import pytest

from medcoreset.errors import UserError
from medcoreset.study.documents import DEPTH, parse_yaml, read_yaml
from medcoreset.study.schema import validated

DATES_AND_WORDS = "{date: 2024-13-45, time: 1:30, norway: no, light: on, hex: 0x1F, not: .nan}"


def bomb(inner: str, outer: str) -> str:
    """Return a document of nine levels, each of which names the one before ten times."""
    lines = [f"a0: &a0 {inner}"]
    for level in range(1, 10):
        aliases = ", ".join([f"*a{level - 1}"] * 10)
        lines.append(f"a{level}: &a{level} {outer.format(aliases)}")
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("[1e-1, .5, 3., -2E+3, 1_000, 010]", [0.1, 0.5, 3.0, -2000.0, 1000, 10]),
        (
            DATES_AND_WORDS,
            {"date": "2024-13-45", "time": "1:30", "norway": "no", "light": "on"}
            | {"hex": "0x1F", "not": ".nan"},
        ),
        ("{a: ~, b: , c: null}", {"a": None, "b": None, "c": None}),
        (
            "{base: &b {x: 1, y: 2}, own: {<<: *b, y: 3}}",
            {"base": {"x": 1, "y": 2}, "own": {"x": 1, "y": 3}},
        ),
        ("", None),
    ],
)
def test_yaml_is_read_as_people_mean_it(text, meant):
    assert parse_yaml(text, "my.yaml") == meant


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\nb: 2\na: 3", ["line 3", "'a'", "twice"]),
        ("{0.1: 1, 1e-1: 2}", ["'1e-1'", "twice"]),
        ("a: 1e999", ["line 1", "1e999", "too large"]),
        ("a: " + "9" * 5000, ["100 digits"]),
        ("[" * 100_000, ["line 1", f"{DEPTH} levels"]),
        (bomb("[1]", "[{}]"), ["line 6", "100,000 values"]),
        (bomb("{x: 1}", "{{<<: [{}]}}"), ["100,000 values"]),
        ("a: &a [*a]", ["line 1", "within what it stands for"]),
        ("a: \x07", ["#x0007"]),
        ("a:\n\tb: 1", ["line 2"]),
        ("a: !!python/object/apply:os.system [true]", ["line 1", "constructor"]),
        ("a: !!timestamp 2024-13-45", ["month"]),
    ],
)
def test_damaged_yaml_is_one_line(text, words):
    with pytest.raises(UserError) as mistake:
        parse_yaml(text, "my.yaml")
    message = str(mistake.value)
    assert message.startswith("my.yaml")
    assert "\n" not in message
    assert all(word in message for word in words), message


@pytest.mark.parametrize("content", [b"title: \xe4rger", b"\xff\xfea\x00", b"a: \x00"])
def test_a_file_that_is_no_text_is_one_line(tmp_path, content):
    (tmp_path / "my.yaml").write_bytes(content)
    with pytest.raises(UserError, match=r"my\.yaml is not"):
        read_yaml(tmp_path / "my.yaml")


def test_values_take_the_types_of_the_schema():
    content = {"title": "T", "datasets": ["digits"], "protocols": ["clean"], "methods": {}}
    content |= {"networks": ["lenet"], "rates": [1.0], "seeds": [3.0, 1], "full": "no"}
    content["surrogate"] = {"network": "lenet", "epochs": [2.0], "seeds": [7.0]}
    found = validated(content, "experiment", "my.yaml")
    seeds = [*found["seeds"], *found["surrogate"]["epochs"], *found["surrogate"]["seeds"]]
    assert seeds == [3, 1, 2, 7]
    assert all(type(seed) is int for seed in seeds)
    assert found["full"] is False
    assert validated({"datasets": {2024: {"path": "a.npz"}}}, "config", "")["datasets"]["2024"]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (["x", 1], ["seeds[0]", "'x'", "integer"]),
        ([0.5], ["seeds[0]", "0.5", "integer"]),
        ([True], ["seeds[0]", "True", "integer"]),
        ([1, 2, 1.0], ["seeds", "repeat", "1"]),
        ([2**63], ["seeds[0]", "at most 9223372036854775807"]),
        ([-1], ["seeds[0]", "at least 0"]),
        (list(range(1001)), ["seeds", "1,001 entries", "1,000"]),
        (float("nan"), ["seeds", "nan", "finite"]),
    ],
)
def test_a_seed_that_is_none_is_one_line(value, words):
    content = {"title": "T", "datasets": ["digits"], "protocols": ["clean"], "methods": {}}
    content |= {"networks": ["lenet"], "rates": [1], "surrogate": {"network": "lenet"}}
    with pytest.raises(UserError) as mistake:
        validated(content | {"seeds": value}, "experiment", "my.yaml")
    assert all(word in str(mistake.value) for word in ["my.yaml", *words]), mistake.value
    assert len(str(mistake.value)) < 400


def test_a_document_that_contains_itself_is_one_line():
    document: dict = {}
    document["datasets"] = document
    with pytest.raises(UserError, match="levels"):
        validated(document, "config", "configuration")
