"""The long table, its comparison with the papers, and its two layouts, on a small real study."""

import copy
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from medcoreset.analysis import aggregate, comparison, published, tables
from medcoreset.analysis.variance import Design
from medcoreset.atomic import write_json
from medcoreset.errors import UserError
from medcoreset.plan import NO_SURROGATE, Plan
from medcoreset.provenance import AGAIN
from medcoreset.reporting.metrics import METRICS
from tests.small_study import PUBLISHED, RATES, RECIPE, SEEDS, save_plan, write_study

SHIPPED = Path(__file__).parents[1] / "config" / "published"


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> dict:
    return write_study(tmp_path_factory.mktemp("study"))


@pytest.fixture
def papers(tmp_path) -> Path:
    path = tmp_path / "published.csv"
    path.write_text(PUBLISHED)
    return path


def run(*arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "medcoreset", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def table_of(plan: dict, folder: Path, papers: Path) -> pd.DataFrame:
    study = Plan.read(save_plan(plan, folder))
    runs = aggregate.aggregate(study)
    known = published.read_published([papers], study.published)
    return comparison.compare(
        published.compare(runs.table, study, known), runs.seeds, study.reference
    )


def layout(render, plan: dict, folder: Path, papers: Path, choices: tuple = ()) -> str:
    study = Plan.read(save_plan(plan, folder))
    found = comparison.findings(aggregate.aggregate(study).seeds)
    table = table_of(plan, folder, papers)
    return render(study, table, tables.notes(study, table, choices, found))


def cell(table: pd.DataFrame, **where: object) -> pd.Series:
    for column, value in {"metric": "accuracy", "network": "pixels", **where}.items():
        table = table[table[column] == value]
    assert len(table) == 1
    return table.iloc[0]


def trainings(n: int) -> Design:
    """Return the design of `n` trainings with one surrogate."""
    return Design.of(pd.MultiIndex.from_tuples([(0.0, seed, seed) for seed in range(n)]))


@given(st.lists(st.floats(0, 100), min_size=2, max_size=8))
def test_summary_is_pandas_and_scipy(values):
    summary = aggregate.summarize(values, trainings(len(values)))
    mean, std, n = np.mean(values), pd.Series(values).std(), len(values)
    assert summary["mean"] == pytest.approx(mean)
    assert summary["std"] == pytest.approx(std)
    assert summary["n"] == n
    low, high = summary["ci_low"], summary["ci_high"]
    assert 0 <= low <= mean + 1e-9
    assert mean - 1e-9 <= high <= 100
    if 0.1 < mean < 99.9 and std > 1e-6:
        half = stats.t.ppf(0.975, n - 1) * std / np.sqrt(n)
        slope = 100 / (mean * (100 - mean))
        for end, sign in ((low, -1), (high, 1)):
            odds = np.log(mean / (100 - mean)) + sign * half * slope
            assert end == pytest.approx(100 / (1 + np.exp(-odds)), abs=1e-6)


def test_summary_by_hand():
    summary = aggregate.summarize([80.0, 82.0, 87.0], trainings(3))
    step = 4.302652729911275 * np.sqrt(13 / 3) / 100 / (0.83 * 0.17)
    low, high = (100 / (1 + 17 / 83 * np.exp(sign * step)) for sign in (1, -1))
    expected = {"mean": 83, "std": np.sqrt(13), "n": 3, "se": np.sqrt(13 / 3), "df": 2}
    expected |= {"ci_low": low, "ci_high": high}
    assert summary == pytest.approx(expected)


def test_one_seed_has_no_spread_and_undefined_values_do_not_count():
    for values in ([80.0], [80.0, None]):
        summary = aggregate.summarize(values, trainings(len(values)))
        assert (summary["mean"], summary["n"]) == (80.0, 1)
        assert all(np.isnan(summary[key]) for key in ("std", "se", "df", "ci_low", "ci_high"))
    assert np.isnan(aggregate.summarize([None], trainings(1))["mean"])


def test_every_cell_and_metric_is_in_the_table(study, tmp_path, papers):
    table = table_of(study, tmp_path, papers)
    assert list(table.columns) == aggregate.COLUMNS
    metrics = {"digits": 6 + 10, "parity": 6 + 2}
    cells = 2 * 2 * (4 * len(RATES) + 1)
    assert len(table) == sum(cells * count for count in metrics.values())
    keys = [*aggregate.CELL, "metric"]
    assert not table.duplicated(keys).any()
    rules = {column["key"]: column["rule"] for column in study["columns"]}
    for entry in study["runs"]:
        rule = rules[entry["column"]]
        seeds = json.loads(Path(entry["metrics"]).read_text())["seeds"].values()
        split = "val" if rule == "published" else "test"
        for metric in ("accuracy", "auc", "ece"):
            values = pd.Series([100 * seed["rules"][rule][split][metric] for seed in seeds])
            surrogate = entry["surrogate"].removesuffix("+seed=0")
            same = {key: entry[key] for key in aggregate.CELL}
            same |= {"protocol": entry["column"], "surrogate": surrogate}
            row = cell(table, metric=metric, **same)
            assert row["mean"] == pytest.approx(values.mean(), abs=1e-9)
            assert row["std"] == pytest.approx(values.std(), abs=1e-9)
            assert row["n"] == len(SEEDS)
    recall = table[table["metric"].str.startswith("recall_")]
    assert set(recall[recall["dataset"] == "parity"]["metric"]) == {"recall_0", "recall_1"}


def test_published_numbers_stand_only_beside_the_same_kind(study, tmp_path, papers):
    table = table_of(study, tmp_path, papers)
    known = table[table["published_mean"].notna()]
    assert set(zip(known["method"], known["rate"], strict=True)) == {
        ("random", 0.05),
        ("eva", 0.05),
        ("full", 1.0),
    }
    for column, value in (
        ("protocol", "clean:published"),
        ("metric", "accuracy"),
        ("network", "pixels"),
    ):
        assert set(known[column]) == {value}
    for row in known.to_dict("records"):
        assert row["difference"] == pytest.approx(row["mean"] - row["published_mean"])
        assert row["difference_low"] <= row["difference"] <= row["difference_high"]
    assert known["published_n"].tolist() == [3] * 3
    assert known["agreement"].tolist() == ["undecided", "differs", "undecided"]
    assert table[table["published_mean"].isna()][published.COMPARED].isna().all(axis=None)


Sample = published.Sample


@given(
    *[st.lists(st.floats(-5, 5), min_size=2, max_size=6) for _ in range(2)],
    st.floats(0, 3),
)
def test_agreement_is_two_one_sided_tests(ours, theirs, tolerance):
    """Against statsmodels' tests of the runs themselves, of which papers print two numbers."""
    from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

    samples = [Sample(np.mean(x), np.std(x, ddof=1), len(x)) for x in (ours, theirs)]
    low, high, verdict = published.agreement(*samples, tolerance)
    if min(sample.std for sample in samples) < 1e-3:
        return
    both = CompareMeans(DescrStatsW(ours), DescrStatsW(theirs))
    expected = both.tconfint_diff(alpha=0.1, usevar="unequal")
    assert (low, high) == pytest.approx(expected, rel=1e-6, abs=1e-6)
    p, *_ = both.ttost_ind(-tolerance, tolerance, usevar="unequal")
    if abs(p - 0.05) > 1e-6:
        assert (verdict == "agrees") == (p < 0.05)
    larger = both.ttest_ind("larger", "unequal", value=tolerance)[1]
    smaller = both.ttest_ind("smaller", "unequal", value=-tolerance)[1]
    if min(abs(larger - 0.05), abs(smaller - 0.05)) > 1e-6:
        assert (verdict == "differs") == (min(larger, smaller) < 0.05)


@pytest.mark.parametrize(
    ("ours", "theirs", "verdict"),
    [
        (Sample(80, 0.1, 5), Sample(80.3, 0.1, 5), "agrees"),
        (Sample(80, 0.1, 5), Sample(82, 0.1, 5), "differs"),
        (Sample(80, 3, 3), Sample(80, 3, 3), "undecided"),
        (Sample(80, np.nan, 1), Sample(80, 0.1, 5), "agrees"),
        (Sample(80, 0.1, 5), Sample(80, np.nan, 5), "agrees"),
        (Sample(80, np.nan, 1), Sample(80, np.nan, 5), "undecided"),
        (Sample(80, 0, 3), Sample(80, 0, 3), "agrees"),
        (Sample(80, 0, 3), Sample(70, 0, 3), "differs"),
    ],
)
def test_agreement_by_hand(ours, theirs, verdict):
    assert published.agreement(ours, theirs, 1.0)[2] == verdict


def test_a_deviation_that_is_not_known_is_that_beside_it():
    low, high, _ = published.agreement(Sample(80, 0.5, 4), Sample(79, np.nan, 5), 1.0)
    half = stats.t.ppf(0.95, 3) * 0.5 * np.sqrt(1 / 4 + 1 / 5)
    assert (low, high) == pytest.approx((1 - half, 1 + half))


def test_shipped_numbers_of_both_papers_are_found():
    files = [SHIPPED / "eva.csv", SHIPPED / "deepcore.csv"]
    known = published._index(published.read_published(files, ["eva_table1", "eva_tableA1"]))
    organ = ("published", "organsmnist")
    assert known[(*organ, "resnet18", "resnet18", "eva", 0.05)] == published.Sample(78.71, 0.93, 3)
    assert known[(*organ, None, "resnet18", "full", 1.0)] == published.Sample(
        91.76, 0.55, 3
    )  # the first table's
    assert known[(*organ, "resnet18", "resnet18", "eva", 0.9)] == published.Sample(91.89, 0.96, 3)
    names = [f"deepcore_table{i}" for i in (1, 2, 3, 4)]
    known = published._index(published.read_published(files, names))
    cifar = ("deepcore", "cifar10")
    assert known[(*cifar, None, "resnet18", "full", 1.0)] == published.Sample(95.6, 0.1, 5)
    assert known[(*cifar, None, "vgg16", "random", 0.01)] == published.Sample(15.36, 2.03, 5)
    proxy = (*cifar, "resnet18+epochs=150", "resnet18", "forgetting", 0.1)
    assert known[proxy] == published.Sample(41.97, 0.7, 5)
    assert {number.n for key, number in known.items() if key[1] == "imagenet"} == {3}
    with pytest.raises(UserError, match="'eva_table9' is in none"):
        published.read_published(files, ["eva_table9"])


def with_candidates(study: dict, folder: Path) -> dict:
    """Return the plan with three candidates in one cell of EVA's, of which b is the best on val."""
    plan = copy.deepcopy(study)
    (chosen,) = (
        entry
        for entry in plan["runs"]
        if (entry["dataset"], entry["column"], entry["network"], entry["method"], entry["rate"])
        == ("digits", "clean", "pixels", "eva", 0.1)
    )
    content = json.loads(Path(chosen["metrics"]).read_text())
    for name, val, test in (("a", 0.5, 0.9), ("b", 0.7, 0.2)):
        for seed in content["seeds"].values():
            seed["rules"]["clean"]["val"]["accuracy"] = val
            seed["rules"]["clean"]["test"]["accuracy"] = test
        path = folder / f"{name}.json"
        path.write_text(json.dumps(content))
        variant = {"variant": f"eva+late={name}", "metrics": str(path)}
        plan["runs"].append({**chosen, **variant})
    return plan


def test_candidates_are_decided_on_val_and_said(study, tmp_path, papers):
    plan = with_candidates(study, tmp_path)
    table = table_of(plan, tmp_path, papers)
    where = {"dataset": "digits", "protocol": "clean", "method": "eva", "rate": 0.1}
    assert cell(table, **where)["mean"] == pytest.approx(20)
    assert tuple(cell(table, **where)[aggregate.CHOSEN]) == ("eva+late=b", 3)
    assert set(table["candidates"]) == {1, 3}
    loaded = Plan.read(save_plan(plan, tmp_path))
    (choice,) = aggregate.aggregate(loaded).choices
    assert (choice.run.variant, choice.reports) == ("eva+late=b", "test")
    for render in (tables.markdown, tables.html, tables.latex):
        text = re.sub(r"\\(?=[%_])", "", layout(render, plan, tmp_path, papers, [choice]))
        assert "EVA, Digits, clean, pixels selected with pixels, by mean validation" in text
        assert "eva+late=b at 10 % (70.0 %); the numbers are of the test split." in text
        assert "Under clean: Options chosen on validation data" in text
        assert "EVA among 1 to 3. Not tuned: Random, EL2N, AUM." in text


def test_numbers_of_candidates_are_said_and_compared():
    none = tables._counted({"Random": "1", "EVA": "1"})
    equal = tables._counted({"CCS": "7", "EVA": "7"})
    other = tables._counted({"Random": "1", "CCS": "7", "EVA": "3"})
    assert none == ""
    assert equal.endswith("for every cell: CCS, EVA among 7.")
    assert "CCS among 7; EVA among 3. The numbers differ: a row with more" in other
    assert other.endswith("Not tuned: Random.")


def test_without_candidates_nothing_is_said_of_a_choice(study, tmp_path, papers):
    assert "validation data" not in layout(tables.markdown, study, tmp_path, papers)


@pytest.mark.parametrize("seed", range(5))
def test_the_candidate_of_best_mean_on_val_is_taken_in_each_cell(study, tmp_path, seed):
    """Against brute force over the files, with candidates of any method and any number."""
    random = np.random.default_rng(seed)
    plan = copy.deepcopy(study)
    best: dict[tuple, tuple[float, str]] = {}
    for entry in list(plan["runs"]):
        candidates = [entry]
        for i in range(random.integers(0, 3) if entry["method"] in ("el2n", "eva") else 0):
            content = json.loads(Path(entry["metrics"]).read_text())
            for record in content["seeds"].values():
                for rule in record["rules"].values():
                    rule["val"]["accuracy"] = random.random()
            path = tmp_path / f"{len(plan['runs'])}.json"
            path.write_text(json.dumps(content))
            variant = f"{entry['variant']}+keep={i}"
            candidates.append({**entry, "variant": variant, "metrics": str(path)})
            plan["runs"].append(candidates[-1])
        rules = {column["key"]: column["rule"] for column in plan["columns"]}
        found = []
        for each in candidates:
            records = json.loads(Path(each["metrics"]).read_text())["seeds"].values()
            rule = rules[each["column"]]
            values = [record["rules"][rule]["val"]["accuracy"] for record in records]
            found.append((100 * np.mean(values), each["variant"]))
        key = tuple(entry[name] for name in ("dataset", "column", "network", "method", "rate"))
        best[key] = (len(found), *max(found, key=lambda each: each[0]))
    made = aggregate.aggregate(Plan.read(save_plan(plan, tmp_path)))
    key = ["dataset", "protocol", "network", "method", "rate"]
    chosen = made.table.groupby(key)[aggregate.CHOSEN].agg(["unique"])
    for where, (count, _, variant) in best.items():
        assert [list(each) for each in chosen.loc[where]] == [[variant], [count]]
    searched = {where: each for where, each in best.items() if each[0] > 1}
    assert len(made.choices) == len(searched)
    for choice in made.choices:
        run = choice.run
        _, accuracy, variant = best[run.dataset, run.column, run.network, run.method, run.rate]
        assert (choice.val_accuracy, run.variant) == (pytest.approx(accuracy), variant)


def test_table_command_writes_three_files_alike_twice(study, tmp_path, papers):
    plan = save_plan(study, tmp_path)
    for out in ("first", "second"):
        done = run("table", "--plan", plan, "--published", papers, "--out", tmp_path / out)
        assert (done.returncode, done.stderr) == (0, "")
    names = ["seeds.csv", "table.csv", "table.html", "table.md", "table.tex"]
    assert sorted(path.name for path in (tmp_path / "first").iterdir()) == names
    for name in names:
        first, second = (tmp_path / out / name for out in ("first", "second"))
        assert first.read_bytes() == second.read_bytes()
    read = aggregate.read_table(tmp_path / "first" / "table.csv")
    table = table_of(study, tmp_path, papers)
    table = table.fillna(np.nan)
    pd.testing.assert_frame_equal(read, table, atol=1e-6, rtol=1e-5, check_dtype=False)
    seeds = aggregate.read_seeds(tmp_path / "first" / "seeds.csv")
    assert list(seeds.columns) == aggregate.SEEDS
    kept = table[table["metric"].isin(METRICS)]
    assert len(seeds) == len(SEEDS) * len(kept)
    for row in aggregate.with_seeds(kept, seeds).itertuples():
        assert row.seeds.mean() == pytest.approx(row.mean, abs=1e-5)
        assert set(row.seeds.index.get_level_values("seed")) == set(SEEDS)
    assert set(seeds["samples"]) == {300, 597}


def test_a_table_says_which_arithmetic_was_used_if_not_float32_alone(study, tmp_path, papers):
    spec = copy.deepcopy(study)
    for i, (name, entry) in enumerate(zip(("float32", "bfloat16"), spec["runs"], strict=False)):
        content = json.loads(Path(entry["metrics"]).read_text())
        content["measured"] = {"arithmetic": name}
        entry["metrics"] = str(tmp_path / f"{i}.json")
        Path(entry["metrics"]).write_text(json.dumps(content))
    done = run(
        "table", "--plan", save_plan(spec, tmp_path), "--published", papers, "--out", tmp_path
    )
    assert (done.returncode, done.stderr) == (0, "")
    jobs = len({entry["metrics"] for entry in spec["runs"]})
    said = f"1 of {jobs} computed in bfloat16, the others in float32"
    for suffix in ("md", "html", "tex"):
        assert said in (tmp_path / f"table.{suffix}").read_text()
    run("table", "--plan", save_plan(study, tmp_path), "--published", papers, "--out", tmp_path)
    assert "computed in" not in (tmp_path / "table.md").read_text()


def test_markdown_layout(study, tmp_path, papers):
    table = table_of(study, tmp_path, papers)
    text = layout(tables.markdown, study, tmp_path, papers)
    assert text.startswith("# Softmax regression on digits & parity\n")
    assert text.count("\n## ") == 4  # two protocols × two networks
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in rows} == {8}
    assert rows[0].startswith("| Method | Digits 5 % | Digits 10 % | Digits 30 % | Parity 5 % |")
    labels = [line.split("|")[1].strip() for line in rows[:7]]
    assert labels == ["Method", "---", "Random", "EL2N", "AUM", "EVA", "Full"]
    row = cell(table, dataset="digits", protocol="clean:published", method="random", rate=0.05)
    assert f"| {row['mean']:.1f} ± {row['std']:.1f}<br>[80.0 ± 0.5]‡ |" in rows[2]
    assert "<br>[99.9]†" in rows[5]
    assert "**" not in rows[6]
    assert rows[6].count("<br>[94.0 ± 9.0]‡") == 3
    clean = text[text.index("## clean;") : text.index("- Accuracy")]
    assert "<br>" not in clean
    assert "n = 3 runs" in text
    assert "- Reported under clean: test, last epoch.\n" in text
    assert text.endswith("- The paper's 100 % is a_b.\n")


def test_notes_say_what_so_few_seeds_support(study, tmp_path, papers):
    text = layout(tables.markdown, study, tmp_path, papers)
    table = table_of(study, tmp_path, papers)
    accuracy = table[table["metric"] == "accuracy"]
    shown = accuracy[(accuracy["gain"] > 0) & (accuracy["p_holm"] < 0.05)]
    assert text.count("**") // 2 == len(shown)
    said = "Bold: better than Random" if len(shown) else "Nothing is bold: no row is shown to be"
    assert said in text
    assert "hold for this surrogate, and do not include what another one would change" in text
    assert "no signed-rank test can go below p = 0.25" in text
    assert "0 of 3 agree within ±1 points, 1 differ by more (†), and 2 are undecided" in text
    assert "Where a number has no deviation, that beside it stands for both" in text
    alone = copy.deepcopy(study)
    alone["methods"] = [entry for entry in study["methods"] if entry["key"] in ("random", "full")]
    alone["runs"] = [entry for entry in study["runs"] if entry["method"] in ("random", "full")]
    text = layout(tables.markdown, alone, tmp_path, papers)
    assert "Nothing is bold: there are no repeated runs to compare with Random's." in text
    assert "**" not in text


def test_latex_layout(study, tmp_path, papers):
    plan = copy.deepcopy(study)
    plan["methods"][3]["label"] = "EVA_{50%} & [x] ± α"
    text = layout(tables.latex, plan, tmp_path, papers)
    assert text.count(r"\begin{table*}") == text.count(r"\end{table*}") == 4
    assert r"\caption{Softmax regression on digits \& parity. clean:published;" in text
    assert r"EVA\_\{50\%\} \& {[}x] $\pm$ $\alpha$ & " in text
    assert r"100 \% is a\_b." in text
    bare = re.sub(r"\\[{}]", "", text)
    assert bare.count("{") == bare.count("}")
    for grid in re.findall(r"\\begin\{tabular\}.*?\\end\{tabular\}", text, re.DOTALL):
        for line in grid.splitlines():
            if line.endswith("\\\\") or line.endswith("[2pt]"):
                spans = re.findall(r"\\multicolumn\{(\d)\}", line)
                columns = len(re.findall(r"(?<!\\)&", line)) + 1
                assert columns + sum(int(span) - 1 for span in spans) == 7


def test_wide_tables_are_split(study, tmp_path, papers):
    plan = copy.deepcopy(study)
    plan["rates"] = [0.05, 0.1, 0.15, 0.2, 0.25, 0.3]
    text = layout(tables.latex, plan, tmp_path, papers)
    assert text.count(r"\begin{tabular}{l*{6}{c}}") == text.count(r"\begin{tabular}") == 8


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="needs pdflatex")
def test_latex_compiles(study, tmp_path, papers):
    (tmp_path / "table.tex").write_text(layout(tables.latex, study, tmp_path, papers))
    (tmp_path / "paper.tex").write_text(
        r"\documentclass{article}\usepackage{booktabs}\begin{document}\input{table}\end{document}"
    )
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout[-2000:]


def _lose_run(plan: dict, folder: Path) -> str:
    plan["runs"][0]["metrics"] = str(folder / "none.json")
    return "none.json does not exist, and was to be the metrics of a run"


def _lose_rule(plan: dict, folder: Path) -> str:
    for column in plan["columns"]:
        column["rule"] = column["rule"].replace("clean", "medmnist")
    return f"seed 0 has no rule 'medmnist' (it has best_val, clean, published): {AGAIN}"


def _lose_metric(plan: dict, folder: Path) -> str:
    content = json.loads(Path(plan["runs"][0]["metrics"]).read_text())
    del content["seeds"]["1"]["rules"]["published"]["val"]["auc"]
    path = folder / "metrics.json"
    path.write_text(json.dumps(content))
    plan["runs"][0]["metrics"] = str(path)
    return f"metrics.json: rule 'published' lacks the metric 'auc': {AGAIN}"


def _truncate_run(plan: dict, folder: Path) -> str:
    path = folder / "metrics.json"
    path.write_text('{"seeds": ')
    plan["runs"][0]["metrics"] = str(path)
    return "metrics.json is not the metrics of a run: Expecting value"


def _unknown_method(plan: dict, folder: Path) -> str:
    del plan["methods"][0]
    return "is of method 'random', not one of el2n, aum, eva, full"


def _unknown_table(plan: dict, folder: Path) -> str:
    plan["published"] = ["eva_table7"]
    return "published: 'eva_table7' is in none of the published tables"


def _lose_key(plan: dict, folder: Path) -> str:
    del plan["rates"]
    return "plan.json is not the plan of an experiment: it lacks rates"


def _lose_field(plan: dict, folder: Path) -> str:
    del plan["runs"][3]["network"]
    return "one of its runs lacks network"


def _misspell_field(plan: dict, folder: Path) -> str:
    plan["runs"][3]["netwrok"] = "pixels"
    return "one of its runs has the unknown key netwrok"


@pytest.mark.parametrize(
    "mistake",
    [
        _lose_run,
        _lose_rule,
        _lose_metric,
        _truncate_run,
        _unknown_method,
        _unknown_table,
        _lose_key,
        _lose_field,
        _misspell_field,
    ],
)
def test_mistakes_are_one_line(study, tmp_path, papers, mistake):
    plan = copy.deepcopy(study)
    message = mistake(plan, tmp_path)
    with pytest.raises(UserError) as raised:
        table_of(plan, tmp_path, papers)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_mistake_ends_the_command_with_status_2_and_no_file(study, tmp_path):
    plan = copy.deepcopy(study)
    _lose_run(plan, tmp_path)
    done = run("table", "--plan", save_plan(plan, tmp_path), "--out", tmp_path / "out")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    done = run("table", "--plan", tmp_path / "no.json", "--out", tmp_path / "out")
    assert "no.json does not exist, and was to be the plan of an experiment" in done.stderr
    assert not (tmp_path / "out").exists()


def test_rates_of_many_digits_have_cells_of_their_own(study, tmp_path, papers):
    """A rate is written with all of its digits, in the table and above its column."""
    plan, (low, high) = copy.deepcopy(study), (0.05, 0.0500000001)
    plan["rates"] = [low, high]
    plan["runs"] = [entry for entry in plan["runs"] if entry["rate"] in (low, 1.0)]
    plan["runs"] += [entry | {"rate": high} for entry in plan["runs"] if entry["rate"] == low]
    path = tmp_path / "table.csv"
    aggregate.write_table(table_of(plan, tmp_path, papers), path)
    written = aggregate.read_table(path)
    assert set(written["rate"]) == {low, high, 1.0}
    text = layout(tables.markdown, plan, tmp_path, papers)
    assert "5.00000001 %" in text
    assert "–" not in text.partition("Random")[2].partition("\n")[0]


@pytest.mark.parametrize(
    "content",
    ["", "\0\1", "[]", "{}", '{"seeds": 3}', f'{{"recipe": "{RECIPE}", "seeds": {{"0": 1}}}}'],
)
def test_damaged_metrics_are_one_line(study, tmp_path, papers, content):
    plan, path = copy.deepcopy(study), tmp_path / "metrics.json"
    path.write_text(content)
    plan["runs"][0]["metrics"] = str(path)
    with pytest.raises(UserError, match=r"metrics\.json"):
        table_of(plan, tmp_path, papers)


def test_metrics_that_do_not_fit_the_plan_are_refused(study, tmp_path, papers):
    """Of another recipe, other seeds, or other data than lie there: each is one line."""
    metrics = json.loads(Path(study["runs"][0]["metrics"]).read_text())
    others = {
        "does not fit the plan": {"recipe": "b" * 64},
        "is of the seeds 0, 1, the plan has 0, 1, 2": {
            "seeds": {seed: metrics["seeds"][seed] for seed in "01"}
        },
        "is of other data than digits now is": {"run": {"dataset_sha256": "b" * 64}},
    }
    for message, change in others.items():
        plan, path = copy.deepcopy(study), tmp_path / "metrics.json"
        path.write_text(json.dumps(metrics | change))
        plan["runs"][0]["metrics"] = str(path)
        with pytest.raises(UserError, match=message):
            table_of(plan, tmp_path, papers)


def with_surrogates(study: dict, folder: Path, seeds: dict[int, tuple[int, ...]]) -> dict:
    """Return the plan with runs of several surrogates: their seeds, and what each has trained."""
    plan = copy.deepcopy(study)
    runs, plan["runs"] = plan["runs"], []
    for number, run in enumerate(runs):
        whole = json.loads(Path(run["metrics"]).read_text())
        free = run["surrogate"] == NO_SURROGATE
        for surrogate, trained in seeds.items() if not free else [(0, SEEDS)]:
            kept = {str(seed): whole["seeds"][str(seed)] for seed in trained}
            path = folder / str(number) / str(surrogate) / "metrics.json"
            write_json(path, whole | {"seeds": kept})
            name = run["surrogate"].replace("seed=0", f"seed={surrogate}")
            plan["runs"].append(
                run | {"metrics": str(path), "surrogate": name, "seeds": list(trained)}
            )
    return plan


def test_a_surrogate_per_seed_is_one_cell_of_as_many_runs(study, tmp_path, papers):
    shared = table_of(study, tmp_path, papers)
    plan = with_surrogates(study, tmp_path, {seed: (seed,) for seed in SEEDS})
    paired = table_of(plan, tmp_path, papers)
    numbers = ["mean", "std", "n", "ci_low", "ci_high", "gain", "p_holm"]
    pd.testing.assert_frame_equal(paired[numbers], shared[numbers])
    runs = aggregate.aggregate(Plan.read(save_plan(plan, tmp_path))).seeds
    selected = runs[runs["surrogate"] != NO_SURROGATE]
    assert (selected["surrogate_seed"] == selected["seed"]).all()
    text = layout(tables.markdown, plan, tmp_path, papers)
    assert "Every seed has a surrogate of its own" in text


def test_crossed_surrogates_have_the_error_of_both(study, tmp_path, papers):
    """Surrogates without an effect: the trainings' three values alone tell the mean's error."""
    plan = with_surrogates(study, tmp_path, dict.fromkeys((0, 1, 2, 3), SEEDS))
    crossed, shared = (table_of(each, tmp_path, papers) for each in (plan, study))
    at = {"method": "eva", "dataset": "digits", "rate": 0.05, "protocol": "clean"}
    of_all, of_one = cell(crossed, **at), cell(shared, **at)
    assert of_all["n"] == 4 * len(SEEDS)
    assert of_all["mean"] == pytest.approx(of_one["mean"])
    assert of_all["se"] == pytest.approx(of_one["se"])
    assert of_all["df"] == pytest.approx(of_one["df"])
    text = layout(tables.markdown, plan, tmp_path, papers)
    assert "Deviations and differences are of all that the runs repeat together" in text
    assert "surrogate 0.00" in text


def test_several_trainings_of_a_coreset_tell_selection_from_training(study, tmp_path, papers):
    """Of three values a coreset's second training takes the next one's."""
    plan = copy.deepcopy(study)
    for number, run in enumerate(plan["runs"]):
        whole = json.loads(Path(run["metrics"]).read_text())
        first = [whole["seeds"][str(seed)] for seed in SEEDS]
        again = {str(1000 + seed): first[(seed + 1) % 3] for seed in SEEDS}
        path = tmp_path / str(number) / "metrics.json"
        same = {str(1000 + seed): whole["coreset_sha256"][str(seed)] for seed in SEEDS}
        more = {"seeds": again, "coreset_sha256": same}
        write_json(path, whole | {key: whole[key] | added for key, added in more.items()})
        run |= {"metrics": str(path), "trainings": 2}
    table = table_of(plan, tmp_path, papers)
    at = {"method": "eva", "dataset": "digits", "rate": 0.05, "protocol": "clean"}
    found, alone = cell(table, **at), cell(table_of(study, tmp_path, papers), **at)
    assert found["n"] == 6
    assert found["mean"] == pytest.approx(alone["mean"])
    # A coreset's mean of two neighbours has a quarter of the variance of their sum.
    rates = {"runs": 6, "coresets": 3}
    assert found["se"] == pytest.approx(alone["std"] / 2 / np.sqrt(rates["coresets"]))
    assert found["df"] == 2
    text = layout(tables.markdown, plan, tmp_path, papers)
    assert "selection 0.00, training" in text
