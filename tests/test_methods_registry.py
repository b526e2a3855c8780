import math
from typing import Annotated, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medcoreset import methods
from medcoreset.errors import UserError
from medcoreset.identity import pairs
from medcoreset.methods import variants
from medcoreset.methods.registry import picking, ranking, selecting
from medcoreset.options import Range, options_of

EVA = {
    "early": 1,
    "late": 190,
    "length": 10,
    "combine": "sum",
    "weight": 0.5,
    "ddof": 0,
    "statistic": "variance",
    "windows": "dual",
    "keep": "highest",
}


def test_options_and_defaults():
    assert methods.parse_options("eva", {}) == EVA
    usual = {"epochs": 10, "runs": None, "at": 20, "keep": "highest"}
    assert methods.parse_options("el2n", {}) == usual
    assert methods.parse_options("ccs", {}) == {"of": "aum", "beta": 0.0, "strata": 50}
    for value, text in ((math.inf, "inf"), (0, "0")):
        parsed = methods.parse_options("forgetting", {"never_learned": value})
        assert parsed == {"never_learned": text, "keep": "highest"}
    assert methods.parse_options("eva", {"late": "31", "weight": ".3"}) == EVA | {
        "late": 31,
        "weight": 0.3,
    }


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [
        ("eva", "early", 0),
        ("eva", "early", "1.5"),
        ("eva", "early", "nan"),
        ("eva", "early", True),
        ("eva", "early", None),
        ("eva", "weight", "1.2"),
        ("eva", "combine", "max"),
        ("ccs", "beta", "-0.1"),
        ("ccs", "beta", ""),
        ("ccs", "beta", [0.1]),
    ],
)
def test_a_value_that_is_not_allowed_is_named(name, option, value):
    with pytest.raises(UserError, match=f"{name}: {option} is .*allowed: "):
        methods.parse_options(name, {option: value})


def test_unknown_names_are_answered_with_the_known_ones():
    with pytest.raises(UserError, match=r"unknown method 'evs' .*entropy, eva, "):
        methods.get("evs")
    with pytest.raises(UserError, match=r"eva: unknown option 'window' .*early, late, length"):
        methods.parse_options("eva", {"window": 3})
    with pytest.raises(UserError, match=r"random: unknown option 'x' .*none"):
        methods.parse_options("random", {"x": 3})


def test_scores_depend_on_the_options_of_the_score_alone():
    assert methods.get("ccs").scoring({"beta": 0.3, "strata": 50}) == {}
    scoring = methods.get("eva").scoring(EVA | {"keep": "lowest"})
    assert scoring == {name: value for name, value in EVA.items() if name != "keep"}


def test_only_random_does_without_a_surrogate():
    assert not methods.get("random").uses_surrogate
    assert methods.get("aum").uses_surrogate
    assert methods.get("aum").needed({"space": "logits"}) == ("logit_margin",)


ABOUT = {"reference": "none", "cost": "O(1)"}


def test_a_name_is_taken_once():
    line = r"test_methods_registry\.py: method eva: .*eva\.py has one of that name"
    with pytest.raises(UserError, match=line):

        @ranking("eva", keep="highest", needs=(), **ABOUT)
        def score(evidence):
            """Score."""


def silent(evidence): ...


def unannotated(evidence, *, power=2.0):
    """Score."""


def of_no_type(evidence, *, power: list = ()):
    """Score."""


def without_default(evidence, *, power: float):
    """Score."""


@pytest.mark.parametrize(
    ("score", "line"),
    [
        (silent, "silent has no docstring"),
        (unannotated, "option power has no annotation"),
        (of_no_type, "option power: .*list.* is none of int, float, bool and Literal"),
        (without_default, "option power has no default"),
    ],
)
def test_what_a_methods_file_lacks_is_one_line(score, line, monkeypatch):
    monkeypatch.setattr("medcoreset.methods.registry.METHODS", {})
    with pytest.raises(UserError, match=rf"test_methods_registry\.py: method mine: {line}"):
        ranking("mine", keep="highest", needs=(), **ABOUT)(score)


def test_needs_are_arrays_that_evidence_knows(monkeypatch):
    monkeypatch.setattr("medcoreset.methods.registry.METHODS", {})
    line = r"method mine: needs 'feature', no evidence \(known: labels, "
    with pytest.raises(UserError, match=line):

        @selecting("mine", needs=("feature",), **ABOUT)
        def select(evidence, count, rng):
            """Pick."""


def test_methods_of_all_kinds_can_be_registered(monkeypatch):
    monkeypatch.setattr("medcoreset.methods.registry.METHODS", {})

    @ranking("first", keep="lowest", needs=("features",), **ABOUT)
    def score(evidence, *, power: float = 2.0):
        """Score."""

    @picking("second", scores_of=score, **ABOUT)
    def pick(scores, count, rng, *, share: float = 0.5):
        """Pick."""

    @selecting("third", needs=("labels",), balance="class", **ABOUT)
    def select(evidence, count, rng):
        """Select."""

    second, third = methods.get("second"), methods.get("third")
    assert second.score is score
    assert second.needs == ("features",)
    assert (set(second.options), second.score_options) == ({"share", "reselect"}, frozenset())
    first = methods.get("first")
    assert (set(first.options), first.score_options) == ({"power", "keep", "reselect"}, {"power"})
    assert "reselect" not in third.options
    assert first.parse_options({})["keep"] == "lowest"
    assert third.balance == "class"
    assert not third.ranks


def test_annotations_say_what_is_allowed():
    def function(
        evidence: np.ndarray,
        *,
        first: Annotated[int | None, Range(0)] = None,
        signed: bool = True,
        layers: Literal["last", "all"] = "last",
        lam: Annotated[float, Range(0, 2)] = 1.0,
    ) -> None: ...

    options = options_of(function)
    assert {name: option.default for name, option in options.items()} == {
        "first": None,
        "signed": True,
        "layers": "last",
        "lam": 1.0,
    }
    assert [options["first"].parse(value) for value in ("none", None, "3", 3)] == [None, None, 3, 3]
    assert options["signed"].parse("false") is False
    assert options["signed"].parse(True) is True
    assert options["lam"].allowed == "number from 0 to 2"
    assert options["first"].allowed == "integer, at least 0, or none"
    with pytest.raises(ValueError, match=r"2\.5 is out of range"):
        options["lam"].parse(2.5)


def test_settings():
    assert pairs(["a=1", "b=x=y"], "--set") == {"a": "1", "b": "x=y"}
    for wrong in (["a"], ["a="], ["=1"], ["a=1", "a=2"]):
        with pytest.raises(UserError, match="--set"):
            pairs(wrong, "--set")


# --- variants


def test_a_variant_names_what_differs_from_the_defaults():
    assert variants.format("eva", {}) == "eva"
    assert variants.format("eva", {"late": 31, "early": "1"}) == "eva+late=31"
    assert variants.format("eva", {"late": 31, "combine": "normalized"}) == (
        "eva+combine=normalized+late=31"
    )
    assert variants.parse("eva+late=31") == ("eva", EVA | {"late": 31})


@given(
    st.fixed_dictionaries(
        {
            "early": st.integers(1, 300),
            "weight": st.floats(0, 1),
            "combine": st.sampled_from(["sum", "normalized"]),
        }
    )
)
def test_a_variant_can_be_read_back(options):
    variant = variants.format("eva", options)
    name, values = variants.parse(variant)
    assert (name, values) == ("eva", EVA | options)
    assert variants.format(name, values) == variant
    assert "/" not in variant


@pytest.mark.parametrize("variant", ["evs", "eva+late", "eva+late=1+late=2", "eva+x=1", "", "eva+"])
def test_what_is_no_variant_is_refused(variant):
    with pytest.raises(UserError):
        variants.parse(variant)
