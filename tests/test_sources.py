"""The digest of the code that a result is computed by follows imports, and nothing else."""

import pytest

from medcoreset import methods, networks, sources
from medcoreset.sources import PACKAGE, digest, files
from medcoreset.training.sources import training_code

CODE = '''"""A file."""

import numpy as np


def double(values):
    """Double."""
    return 2 * values  # twice
'''


@pytest.mark.parametrize(
    ("name", "computed_with"),
    [
        ("random", {"registry", "options"}),
        ("aum", {"statistics", "evidence", "checks"}),
        ("kcenter_greedy", {"dissimilarity", "greedy", "traversal"}),
        ("glister", {"gradients", "greedy"}),
        ("craig", {"facility_location", "gradients", "greedy", "kernels"}),
    ],
)
def test_a_method_depends_on_the_files_that_it_imports(name, computed_with):
    own, *others = files(methods.get(name).source)
    assert own.stem == name
    assert computed_with <= {path.stem for path in others}
    assert not {path.stem for path in others} & set(methods.METHODS) - computed_with


def test_a_training_depends_on_what_takes_part_in_it_and_nothing_else():
    found = {path.relative_to(PACKAGE).as_posix() for path in files(PACKAGE / "training/run.py")}
    takes_part = {"loop", "schedule", "data", "evaluation", "optimizer"}
    assert {f"training/{name}.py" for name in takes_part} <= found
    assert {f"recording/{name}.py" for name in ("recorder", "statistics", "files", "rows")} <= found
    assert {f"reporting/{name}.py" for name in ("rules", "metrics", "reports")} <= found
    assert {"datasets/canonical.py", "datasets/streaming.py", "seeding.py"} <= found
    assert not found & {"training/progress.py", "locks.py"}
    assert not {name for name in found if name.startswith(("methods", "analysis", "figures"))}


def test_a_training_depends_on_its_networks_family_and_no_other():
    codes = {name: training_code(name) for name in networks.NAMES}
    families = {name: networks.ARCHITECTURES[name].family for name in networks.NAMES}
    for name, code in codes.items():
        assert {other for other in codes if codes[other] == code} == {
            other for other in families if families[other] == families[name]
        }


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("  # twice", "", True),
        ("Double.", "Twice.", True),
        ("\n\n\ndef", "\n\n# A function.\n\n\ndef", True),
        ("2 * values", "(2  *  values)", True),
        ("2 * values", "3 * values", False),
        ("values", "numbers", False),
    ],
    ids=["comment", "docstring", "empty line", "layout", "number", "name"],
)
def test_only_statements_count(tmp_path, old, new, same):
    path = tmp_path / "code.py"
    found = []
    for text in (CODE, CODE.replace(old, new)):
        path.write_text(text)
        for function in (sources.digest, sources.files, sources._imported, sources._statements):
            function.cache_clear()
        found.append(digest(path))
    assert (found[0] == found[1]) == same
