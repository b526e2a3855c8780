"""Producers of evidence: registered once, and asked for by methods, the command line and the rules."""

import math
from collections.abc import Iterator
from typing import Annotated, Any

import numpy as np
import pytest
from click.testing import CliRunner

from medcoreset import methods, producers
from medcoreset.__main__ import cli
from medcoreset.errors import UserError
from medcoreset.methods.registry import ranking
from medcoreset.options import Range
from medcoreset.producers.registry import producing
from medcoreset.selection.select import score
from medcoreset.sources import PACKAGE, files
from medcoreset.study.results import averaged, computed, production
from tests.method_cases import evidence_of


@pytest.fixture
def _methods_of_its_own(monkeypatch) -> None:
    """Let a test register methods that no other test sees."""
    monkeypatch.setattr("medcoreset.methods.registry.METHODS", {})


@pytest.mark.parametrize("name", producers.PRODUCERS)
def test_the_command_has_the_options_of_the_registry(name):
    shown = CliRunner().invoke(cli, ["evidence", name, "--help"]).output
    for option in producers.get(name).options.values():
        assert f"--{option.name.replace('_', '-')}" in shown
        assert option.help.split()[0] in shown
    assert name in CliRunner().invoke(cli, ["evidence", "--help"]).output


def least(method: methods.Method) -> Iterator[dict[str, Any]]:
    """Yield options of a method: none, and the least or the first value of each."""
    yield {}
    for name, option in method.options.items():
        if option.choices or option.range.low > -math.inf:
            yield {name: option.type(option.choices[0] if option.choices else option.range.low)}


@pytest.mark.parametrize("name", producers.PRODUCERS)
def test_some_method_needs_it_and_has_its_options(name):
    needing = [
        method
        for method in methods.METHODS.values()
        if any(name in method.needed(options) for options in least(method))
    ]
    assert needing
    for method in needing:
        assert method.options.items() >= producers.get(name).asked.items()
        # Scores of evidence that was made in another way are other scores.
        assert set(producers.get(name).asked) <= method.score_options


@pytest.mark.parametrize(
    ("variant", "array", "options", "surrogates"),
    [
        ("deepfool", "perturbations", {"max_iterations": 50}, ["mlp+seed=0"]),
        ("deepfool+max_iterations=3", "perturbations", {"max_iterations": 3}, ["mlp+seed=0"]),
        (
            "grand+layers=all+models=2",
            "gradient_norms",
            {"layers": "all"},
            ["mlp+seed=0", "mlp+seed=1000"],
        ),
        (
            "el2n+at=5+runs=2",
            "run_probs",
            {},
            ["mlp+until=5+seed=0", "mlp+until=5+seed=1000"],
        ),
        (
            "rho_loss+at=5",
            "irreducible_losses",
            {},
            ["mlp+half=1+until=5+seed=0", "mlp+half=2+until=5+seed=0"],
        ),
    ],
)
def test_a_variant_says_how_its_evidence_is_made(variant, array, options, surrogates):
    assert computed(variant) == array
    assert averaged(variant, "mlp+seed=0") == surrogates
    assert production(variant) == options


@pytest.mark.usefixtures("_methods_of_its_own")
def test_options_of_a_method_are_not_flags_of_a_producer():
    @ranking("sharper", keep="lowest", needs=("perturbations",), reference="none", cost="O(N)")
    def sharper(evidence, *, power: Annotated[float, Range(0)] = 1.0):
        """Score."""
        return evidence["perturbations"] ** power

    method = methods.get("sharper")
    assert set(method.options) - {"keep"} == {"power", "max_iterations"}
    evidence = evidence_of(9)
    found = score(method, evidence, {"power": 2, "max_iterations": 3})
    np.testing.assert_array_equal(found, evidence["perturbations"] ** 2)
    assert production("sharper+power=2.0") == {"max_iterations": 50}


def test_each_has_a_digest_of_its_own_code():
    found = {
        name: {path.relative_to(PACKAGE).as_posix() for path in files(producers.get(name).source)}
        for name in producers.PRODUCERS
    }
    assert "evidence/perturbations.py" in found["perturbations"]
    assert "evidence/sample_gradients.py" in found["gradient_norms"]
    assert not found["perturbations"] & {"evidence/gradients.py", "evidence/sample_gradients.py"}
    assert "evidence/perturbations.py" not in found["gradient_norms"]
    # How evidence is computed does not change what a method makes of it.
    assert not {
        path for path in files(methods.get("deepfool").source) if path.stem == "perturbations"
    }


def test_mistakes_are_named():
    with pytest.raises(
        UserError,
        match=r"'blur'.*known: gradient_norms, irreducible_losses, perturbations, run_probs",
    ):
        CliRunner().invoke(cli, ["evidence", "blur"], catch_exceptions=False)
    with pytest.raises(ValueError, match=r"two producers of perturbations: .*perturbations\.py"):
        producing("perturbations")(lambda source: None)
    with pytest.raises(ValueError, match=r"features has the shape \(N, D\)"):
        producing("features")(lambda source: None)
    with pytest.raises(UserError, match="steps has no default"):

        @ranking("x", keep="lowest", needs=("perturbations",), reference="none", cost="O(N)")
        def score(evidence, *, steps: int):
            """Score."""
