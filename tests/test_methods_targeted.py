"""Methods that select for something outside the training samples, through the real Snakefile."""

import numpy as np
import pytest

from medcoreset.evidence import Evidence
from tests.method_cases import choose
from tests.studies import write_experiment

pytestmark = pytest.mark.long

ROWS = {
    "smi": {},
    "retrieve": {},
    "bilevel": {"kernel": "rbf"},
    "smi_log_det": {"method": "smi", "function": "logdetmi", "space": "features"},
}


def test_a_study_selects_by_them_what_select_does(snakemake, tmp_path):
    study = write_experiment(tmp_path, "aimed", methods=ROWS)
    outcome = snakemake(tmp_path, "aimed", "--config", f"studies=['{study}']")
    assert outcome.returncode == 0, outcome.stderr[-5000:]
    (folder,) = (tmp_path / "results").glob("surrogates/*/*/*/evidence")
    evidence = Evidence.load(folder)
    for key, row in ROWS.items():
        options = {option: value for option, value in row.items() if option != "method"}
        name = row.get("method", key)
        variant = "+".join(
            [name, *(f"{option}={value}" for option, value in sorted(options.items()))]
        )
        (path,) = (tmp_path / "results").glob(f"coresets/*/*/*/{variant}/*/*/seed0.npz")
        made = np.load(path)["indices"]
        found = choose(name, evidence, len(made), balance="global", options=options).indices
        np.testing.assert_array_equal(np.sort(made), np.sort(found))
