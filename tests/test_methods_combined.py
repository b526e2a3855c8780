"""Methods that combine another ranking with something else, by their definitions."""

import numpy as np
import pytest

from medcoreset import methods
from medcoreset.errors import UserError
from medcoreset.evidence import Evidence
from medcoreset.methods.ccs import equal_width_strata
from medcoreset.methods.registry import METHODS
from medcoreset.producers import PRODUCERS
from medcoreset.selection.select import score, select
from medcoreset.study import configuration, rehearsal
from medcoreset.study import recipes as of_study
from tests.any_evidence import arrays_of
from tests.conftest import ROOT

RANKINGS = list(methods.get("ccs").options["of"].choices)


def evidence_of(method: str, n: int = 60, **options) -> Evidence:
    return Evidence(arrays_of(["labels", *methods.get(method).needed(options)], n))


def test_every_ranking_that_needs_no_more_than_a_training_leaves():
    left_out = {name for name, each in METHODS.items() if each.keep and name not in RANKINGS}
    assert left_out == {name for name in left_out if set(METHODS[name].needed()) & set(PRODUCERS)}
    assert all(METHODS[name].keep for name in RANKINGS)
    assert {"aum", "forgetting", "el2n", "eva", "entropy"} <= set(RANKINGS)


# --- CCS and double-end


@pytest.mark.parametrize("of", RANKINGS)
def test_scores_are_those_of_the_ranking(of):
    evidence = evidence_of("ccs", of=of)
    found = select(methods.get("ccs"), evidence, 9, options={"of": of})
    np.testing.assert_array_equal(found.scores, score(methods.get(of), evidence))


@pytest.mark.parametrize("of", RANKINGS)
def test_double_end_drops_the_hardest_and_keeps_the_next(of):
    evidence = evidence_of("double_end", of=of)
    ordered = score(methods.get(of), evidence)
    hardest = np.sort(ordered)[:: -1 if methods.get(of).keep == "highest" else 1]
    options = {"beta": 0.29, "of": of}
    found = select(methods.get("double_end"), evidence, 6, options=options)
    np.testing.assert_array_equal(ordered[found.indices], hardest[17:23])
    # No more are dropped than leaves M.
    found = select(methods.get("double_end"), evidence, 58, options=options)
    np.testing.assert_array_equal(ordered[found.indices], hardest[2:])


@pytest.mark.parametrize("of", ["aum", "el2n"])
def test_ccs_drops_the_hardest_and_draws_from_strata(of):
    evidence = evidence_of("ccs", 200, of=of)
    options = {"of": of, "beta": 0.29, "strata": 4}
    found = select(methods.get("ccs"), evidence, 40, options=options)
    easy = found.scores if of == "aum" else -found.scores
    rest = np.argsort(easy)[58:]
    assert set(found.indices) <= set(rest)
    sizes = np.bincount(equal_width_strata(easy[rest], 4), minlength=4)
    taken = np.isin(rest, found.indices)
    drawn = np.bincount(equal_width_strata(easy[rest], 4)[taken], minlength=4)
    assert sizes.min() > 0
    assert drawn.sum() == 40
    # Each stratum gives as much as any other, but for the remainder, or all it has.
    assert all(d == s or d >= drawn.max() - 1 for d, s in zip(drawn, sizes, strict=True))


# --- FASS


@pytest.mark.parametrize("function", methods.get("fass").options["function"].choices)
@pytest.mark.parametrize("of", ["entropy", "aum"])
def test_fass_runs_the_function_on_those_that_the_ranking_puts_first(of, function):
    arrays = arrays_of(["labels", *methods.get("fass").needed({"of": of})], 90)
    evidence = Evidence(arrays | {"preselected": np.array([4, 2])})
    options = {"of": of, "function": function, "top_n": 4}
    found = select(methods.get("fass"), evidence, 8, balance="global", options=options)
    first = score(methods.get(of), evidence) * (1 if of == "aum" else -1)
    first[[4, 2]] = -np.inf
    kept = np.argsort(first)[:32]
    part = {
        name: arrays[name][:, kept] if name == "margin" else arrays[name][kept] for name in arrays
    }
    part["similarity"] = part["similarity"][:, kept]
    within = Evidence(part | {"preselected": np.flatnonzero(np.isin(kept, [4, 2]))})
    expected = select(methods.get(function), within, 8, balance="global").indices
    assert found.indices[:2].tolist() == [4, 2]
    assert set(found.indices) == set(kept[expected])


def test_the_functions_of_fass_are_those_of_similarity():
    assert list(methods.get("fass").options["function"].choices) == [
        "facility_location",
        "graph_cut",
        "log_det",
    ]


def test_fass_of_too_few_samples_filters_none():
    arrays = arrays_of(["labels", *methods.get("fass").needed()])
    alone = select(methods.get("facility_location"), Evidence(arrays), 20).indices
    found = select(methods.get("fass"), Evidence(arrays), 20, options={"top_n": 100}).indices
    assert set(found) == set(alone)


# --- what naming another method brings with it


def test_dynamics_that_are_too_short_are_said_to_be_the_rankings():
    line = "^ccs: of=eva: eva: the late window, epochs 190 to 199, is not within the 150 epochs"
    evidence = Evidence(arrays_of(["labels", "error_norm"], epochs=150))
    with pytest.raises(UserError, match=line):
        select(methods.get("ccs"), evidence, 9, options={"of": "eva"})


def test_a_rehearsal_takes_the_default_for_a_ranking_of_more_epochs_than_it_has():
    for of, taken in (("el2n", "el2n"), ("eva", "aum")):
        options = methods.parse_options("ccs", {"of": of, "beta": 0.2})
        assert rehearsal.scaled("ccs", options, 200, 12) == options | {"of": taken}


def test_scores_and_coresets_depend_on_the_code_of_the_ranking(monkeypatch):
    study = configuration.load({"studies": [str(ROOT / "tests" / "study")]})
    roots = []
    monkeypatch.setattr(of_study, "code_of", lambda *files: roots.append(files) or "")
    for variant in ("ccs", "ccs+of=el2n"):
        of_study.Recipes(study)._method("tiny", variant)
    stems = [{path.stem for path in files} for files in roots]
    assert stems == [{"ccs", "aum", "select"}, {"ccs", "el2n", "select"}]
