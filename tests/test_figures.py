"""Every figure, drawn from a small real study."""

import copy
import importlib
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.lines import Line2D

from medcoreset import methods
from medcoreset.analysis import aggregate, comparison, published
from medcoreset.commands.figure import command
from medcoreset.datasets import canonical
from medcoreset.errors import UserError
from medcoreset.evidence.evidence import Evidence
from medcoreset.figures import (
    CAPTIONS,
    FIGURES,
    accuracy_over_rate,
    cost,
    critical_difference,
    data_map,
    detection,
    eva_figure6,
    gallery,
    panels,
    pictures,
    read,
    score_evolution,
    style,
    window_overlap,
)
from medcoreset.plan import Plan
from tests.small_study import PUBLISHED, RATES, RECIPE, noisy, save_plan, write_study

pytestmark = pytest.mark.long

ABLATION = {"var_single": "el2n", "exp_single": "aum", "var_dual": "eva", "exp_dual": "random"}
ABLATION["var_entire"] = "el2n"
WINDOWS = {"window_1_21": "eva", "window_11_21": "aum", "window_1_31": "el2n", "window_1": "random"}
WINDOWS["window_11"] = "aum"
CONDITIONS = ("accuracy_over_condition", "detection", "data_map")
"""Figures of training sets under conditions."""


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> dict:
    return write_study(tmp_path_factory.mktemp("study"))


def renamed(study: dict, rows: dict[str, str]) -> dict:
    """Return the study with `rows` in place of its own, each made of another row's runs."""
    plan = copy.deepcopy(study)
    plan["methods"] = [{"key": key, "label": key} for key in [*rows, "full"]]
    plan["runs"] = [
        {**entry, "method": key, "surrogate": "pixels+seed=0"}
        for key, method in [*rows.items(), ("full", "full")]
        for entry in study["runs"]
        if entry["method"] == method and entry["network"] == "pixels"
    ]
    return plan


@pytest.fixture(scope="module")
def under_conditions(tmp_path_factory) -> dict:
    """The study on the digits with few and with many wrong labels."""
    plan = write_study(tmp_path_factory.mktemp("noisy"), published=False, datasets=noisy())
    plan["networks"] = plan["networks"][:1]
    plan["columns"] = plan["columns"][1:]
    kept = ("pixels", "clean")
    plan["runs"] = [each for each in plan["runs"] if (each["network"], each["column"]) == kept]
    return plan


@pytest.fixture(scope="module")
def plans(study, under_conditions, tmp_path_factory) -> dict[str, tuple[Path, Path]]:
    """Return the plan and the table that each figure is drawn from."""
    folder = tmp_path_factory.mktemp("plans")
    (folder / "published.csv").write_text(PUBLISHED)
    files = {}
    kinds = {"plain": study, "ablation": renamed(study, ABLATION), "conditions": under_conditions}
    for kind, plan in {**kinds, "windows": renamed(study, WINDOWS)}.items():
        (folder / kind).mkdir()
        path = save_plan(plan, folder / kind)
        loaded = Plan.read(path)
        known = published.read_published([folder / "published.csv"], loaded.published)
        runs = aggregate.aggregate(loaded)
        table = published.compare(runs.table, loaded, known)
        table = comparison.compare(table, runs.seeds, loaded.reference)
        aggregate.write_table(table, folder / kind / "table.csv")
        aggregate.write_seeds(runs.seeds, folder / kind / "seeds.csv")
        files[kind] = (path, folder / kind / "table.csv")
    of_figure = dict.fromkeys(FIGURES, "plain") | dict.fromkeys(
        ("eva_figure3", "eva_figure4", "eva_figure_a2"), "ablation"
    )
    of_figure["eva_figure5"] = "windows"
    of_figure |= dict.fromkeys(CONDITIONS, "conditions")
    return {figure: files[kind] for figure, kind in of_figure.items()}


def draw(figure: str, plans: dict, out: Path) -> None:
    plan, table = plans[figure]
    arguments = [figure, "--plan", plan, "--out", out]
    if "table" in FIGURES[figure]:
        arguments += ["--table", table, "--seeds", table.with_name("seeds.csv")]
    command.main([str(argument) for argument in arguments], standalone_mode=False)


@pytest.mark.parametrize("figure", FIGURES)
def test_figures_are_drawn_alike_twice(figure, plans, tmp_path):
    for out in ("first", "second"):
        draw(figure, plans, tmp_path / out / figure)
    for suffix, magic in ((".svg", b"<?xml"), (".pdf", b"%PDF"), (".png", b"\x89PNG")):
        first, second = ((tmp_path / out / f"{figure}{suffix}") for out in ("first", "second"))
        assert first.read_bytes() == second.read_bytes()
        assert first.read_bytes().startswith(magic)
    svg = (tmp_path / "first" / f"{figure}.svg").read_text()
    assert "Digits" in "".join(re.findall(r"<text[^>]*>([^<]*)", svg))  # text is text
    assert "<dc:date>" not in svg
    suffixes = {".pdf", ".png", ".svg"} | ({".csv"} if "numbers" in FIGURES[figure] else set())
    assert {path.suffix for path in (tmp_path / "first").iterdir()} == suffixes


def test_another_process_draws_the_same_bytes(plans, tmp_path):
    draw("accuracy_over_rate", plans, tmp_path / "here")
    plan, table = plans["accuracy_over_rate"]
    seeds = table.with_name("seeds.csv")
    arguments = ["figure", "accuracy_over_rate", "--plan", plan, "--table", table, "--seeds", seeds]
    done = subprocess.run(
        [sys.executable, "-m", "medcoreset", *arguments, "--out", tmp_path / "there"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
    for suffix in (".svg", ".pdf", ".png"):
        here, there = (tmp_path / f"{name}{suffix}" for name in ("here", "there"))
        assert here.read_bytes() == there.read_bytes()


def test_every_caption_is_of_a_figure():
    captions = {path.stem for path in CAPTIONS.glob("*.rst")}
    assert captions == set(FIGURES) | {"workflow", "table", "printed", "claims"}


FIGURE = '''"""How many rows there are."""

NEEDS = ("table",)


def draw(plan, table):
    return None
'''


def test_a_module_and_its_caption_are_a_figure(tmp_path):
    (tmp_path / "shared.py").write_text("def lines():\n    return 1\n")
    (tmp_path / "rows.py").write_text(FIGURE)
    (tmp_path / "rows.rst").write_text("Rows.\n")
    ((name, figure),) = read(tmp_path, tmp_path).items()
    assert (name, figure.needs, figure.rows) == ("rows", {"table"}, ())
    assert figure.summary == "How many rows there are."


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("", "", ["caption", "rows.rst is missing"]),
        ('("table",)', '("tables",)', ["NEEDS names tables", "rankings"]),
        ('("table",)', "needs()", ["NEEDS must be a tuple of texts"]),
        ('("table",)', '("numbers",)', ["function numbers"]),
        ("def draw", "def paint", ["function draw"]),
        ('"""How many rows there are."""', "", ["docstring"]),
    ],
)
def test_a_figure_that_is_incomplete_is_refused_in_one_line(tmp_path, before, after, words):
    (tmp_path / "rows.py").write_text(FIGURE.replace(before, after, 1) if before else FIGURE)
    if before:
        (tmp_path / "rows.rst").write_text("Rows.\n")
    with pytest.raises(UserError) as mistake:
        read(tmp_path, tmp_path)
    message = str(mistake.value)
    assert "\n" not in message
    assert all(word in message for word in [str(tmp_path / "rows.py"), *words]), message


def test_the_package_imports_nothing_heavy():
    code = (
        "import sys, medcoreset.figures; print(sorted({'matplotlib', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]"


def drawn(figure: str, plans: dict):
    plan, table = plans[figure]
    module = importlib.import_module(f"medcoreset.figures.{figure}")
    with style.context():
        return module.draw(Plan.read(plan), with_seeds(table))


def with_seeds(table: Path):
    seeds = aggregate.read_seeds(table.with_name("seeds.csv"))
    return aggregate.with_seeds(aggregate.read_table(table), seeds)


def test_accuracy_over_rate_shows_the_table(plans):
    figure = drawn("accuracy_over_rate", plans)
    axes = figure.axes
    assert len(axes) == 8  # two datasets × two protocols × two networks
    assert axes[0].get_title(loc="left") == "(a) Digits\nclean:published, pixels"
    table = aggregate.read_table(plans["accuracy_over_rate"][1])
    rows = table[
        (table[["dataset", "protocol", "network"]] == ["digits", "clean:published", "pixels"]).all(
            axis=1
        )
        & (table["metric"] == "accuracy")
    ]
    lines = {line.get_label(): line for line in axes[0].lines}
    for method, label in (("eva", "EVA"), ("random", "Random")):
        mean = rows[rows["method"] == method].sort_values("rate")["mean"]
        np.testing.assert_allclose(lines[label].get_xdata(), 100 * np.array(RATES))
        np.testing.assert_allclose(lines[label].get_ydata(), mean)
    assert lines["Random"].is_dashed()
    assert lines["Random"].get_color() == "#7F7F7F"
    full = rows[rows["method"] == "full"]["mean"].item()
    np.testing.assert_allclose(lines["Full"].get_ydata(), full)
    seeds = aggregate.read_seeds(plans["accuracy_over_rate"][1].with_name("seeds.csv"))
    seeds = seeds[
        (seeds[["dataset", "protocol", "network"]] == ["digits", "clean:published", "pixels"]).all(
            axis=1
        )
        & (seeds["metric"] == "accuracy")
        & (seeds["method"] != "full")
    ]
    dots = [line for line in axes[0].lines if line.get_label() == "_seeds"]
    shown = sorted(value for line in dots for value in line.get_ydata())
    np.testing.assert_allclose(shown, sorted(seeds["value"]))


def test_an_interval_is_drawn_from_five_seeds_on_and_is_not_cut_off(plans):
    table = with_seeds(plans["accuracy_over_rate"][1])
    study = Plan.read(plans["accuracy_over_rate"][0])
    for n, bands in ((3, 0), (5, 4)):
        with style.context():
            axes = accuracy_over_rate.draw(study, table.assign(n=n)).axes
        found = [
            path.vertices[:, 1]
            for band in axes[0].collections
            for path in band.get_paths()
            if len(path.vertices)
        ]
        assert len(found) == bands
        low, high = axes[0].get_ylim()
        assert all(low <= band.min() and band.max() <= high for band in found)


def test_paired_differences_are_those_of_the_table(plans):
    axes = drawn("paired_difference", plans).axes
    assert len(axes) == 8 * len(RATES)
    table = with_seeds(plans["paired_difference"][1])
    rows = table[
        (table[["dataset", "protocol", "network"]] == ["digits", "clean:published", "pixels"]).all(
            axis=1
        )
        & (table["metric"] == "accuracy")
        & (table["rate"] == RATES[0])
    ].set_index("method")
    means = [line for line in axes[0].lines if line.get_label().startswith("_child")][1:]
    dots = [line for line in axes[0].lines if line.get_label() == "_seeds"]
    for mean, pairs, method in zip(means, dots, ("el2n", "aum", "eva"), strict=True):
        assert mean.get_xdata() == pytest.approx([rows.loc[method, "gain"]])
        assert np.mean(pairs.get_xdata()) == pytest.approx(rows.loc[method, "gain"], abs=1e-5)
        assert (mean.get_markerfacecolor() == "white") == (rows.loc[method, "p_holm"] >= 0.05)
    axes = drawn("critical_difference", plans).axes
    assert "critical difference 1.91" in " ".join(text.get_text() for text in axes[0].texts)


def test_few_blocks_are_not_ranked(plans):
    study = Plan.read(plans["critical_difference"][0])
    table = with_seeds(plans["critical_difference"][1])
    with style.context():
        axes = critical_difference.draw(study, table[table["dataset"] == "digits"]).axes
    words = [[text.get_text() for text in ax.texts] for ax in axes]
    assert words == [["fewer than 6 blocks of three rows, so no ranks"]] * 4


def test_published_points_are_only_in_comparable_panels(plans):
    axes = drawn("accuracy_over_rate", plans).axes
    hollow = [[line for line in ax.lines if line.get_label() == "_published"] for ax in axes]
    assert [len(lines) for lines in hollow] == [2, 0, 0, 0, 0, 0, 0, 0]
    values = sorted(line.get_ydata()[0] for line in hollow[0])
    assert values == [80.0, 99.9]


def test_window_lines_have_their_late_window(plans):
    axes = drawn("eva_figure5", plans).axes
    lines = {line.get_label(): list(line.get_xdata()) for line in axes[0].lines}
    assert lines["late window from 21"] == [1, 11]
    assert lines["late window from 31"] == [1]
    assert lines["single window"] == [1, 11]


def test_ablation_pairs_what_the_paper_pairs(plans):
    for figure, pairs in (
        ("eva_figure3", [("exp_single", "var_single"), ("exp_dual", "var_dual")]),
        ("eva_figure4", [("var_single", "var_dual"), ("exp_single", "exp_dual")]),
        ("eva_figure_a2", [("var_dual", "var_entire")] * 2),
    ):
        axes = drawn(figure, plans).axes[:2]
        shown = [
            tuple(line.get_label() for line in ax.lines if line.get_label() in ABLATION)
            for ax in axes
        ]
        assert shown == pairs


@given(st.integers(1, 12), st.integers(2, 30), st.integers(0, 2**32 - 1))
def test_overlap_is_the_share_of_sets(pairs, n, seed):
    random = np.random.default_rng(seed)
    scores, reference = random.random((pairs, n)), random.random(n)
    count = int(np.ceil(round(0.1 * n, 9)))
    top = set(sorted(range(n), key=lambda i: -reference[i])[:count])
    shares = [
        len(top & set(sorted(range(n), key=lambda i: -row[i])[:count])) / count for row in scores
    ]
    np.testing.assert_allclose(window_overlap.overlap(scores, reference, 0.1), shares)
    np.testing.assert_array_equal(window_overlap.overlap(scores[:1], scores[0], 0.1), 1)


def test_samples_span_the_variances_and_unseen_ones_do_not_count():
    variances = np.random.default_rng(0).permutation(100)
    scores = np.stack([np.zeros(100), 2 * np.sqrt(variances)]) / 100
    seen = np.ones_like(scores, dtype=bool)
    seen[:, variances == 99] = False
    seen[0, variances == 50] = False
    labels = np.zeros(100, dtype=np.int64)
    evidence = Evidence({"error_norm": scores.astype(np.float32), "seen": seen, "labels": labels})
    quantiles = np.array([0.0, 0.5, 0.999])
    samples = score_evolution.spanning_samples(evidence, quantiles)
    assert variances[samples].tolist() == [0, 49, 98]
    curves = score_evolution.scores_of(evidence, samples)
    np.testing.assert_allclose(curves, scores[:, samples].T, rtol=1e-6)


def test_gallery_takes_the_extremes_of_each_class():
    scores = np.array([3.0, 1.0, 2.0, 2.0, 9.0])
    members = np.array([True, True, True, True, False])
    highest, lowest = gallery.extreme_samples(scores, members, 2)
    assert (highest, lowest) == ([0, 2], [1, 2])
    assert gallery.extreme_samples(scores, ~members, 2) == ([4, None], [4, None])
    images = np.arange(8, dtype=np.uint8).reshape(2, 2, 2)
    picture = pictures.mosaic(images, [[1, None], [0, 1]], 3)
    expected = [[4, 5, 255, 255, 255], [6, 7, 255, 255, 255], [255] * 5]
    expected += [[0, 1, 255, 4, 5], [2, 3, 255, 6, 7]]
    assert picture.tolist() == expected
    assert pictures.shown_classes(3) == [0, 1, 2]
    many = pictures.shown_classes(100)
    assert (len(many), many[0], many[-1]) == (10, 0, 99)


def test_costs_are_shown_beside_the_full_training(plans, tmp_path):
    draw("cost", plans, tmp_path / "cost")
    numbers = pd.read_csv(tmp_path / "cost.csv")
    assert len(numbers) == 2 * 2 * (4 * len(RATES) + 1)  # once, though two columns report the runs
    with style.context():
        axes = cost.draw(Plan.read(plans["cost"][0]), numbers).axes
    assert [ax.get_title(loc="left") for ax in axes][:2] == [
        "(a) Digits\npixels",
        "(b) Digits\npooled",
    ]
    lines = [line for line in axes[0].lines if line.get_label() == "retraining"]
    assert len(lines) == 4
    np.testing.assert_allclose(lines[0].get_xdata(), 10 * np.array(RATES) + 1)
    (full,) = (line for line in axes[0].lines if line.get_label() == "Full training")
    np.testing.assert_allclose(full.get_xdata(), 11)


def test_accuracy_over_condition_shows_the_table(plans):
    figure = drawn("accuracy_over_condition", plans)
    assert [ax.get_title(loc="left") for ax in figure.axes] == [
        f"({letter}) Digits, coresets of {rate} %"
        for letter, rate in zip("abc", (5, 10, 30), strict=True)
    ]
    table = aggregate.read_table(plans["accuracy_over_condition"][1])
    rows = table[(table["metric"] == "accuracy") & (table["method"] == "eva")]
    lines = {line.get_label(): line for line in figure.axes[1].lines}
    at_ten = rows[rows["rate"] == 0.1].set_index("dataset")["mean"]
    np.testing.assert_allclose(lines["EVA"].get_xdata(), [10, 40])
    names = ["digits+noise=0.1", "digits+noise=0.4"]
    np.testing.assert_allclose(lines["EVA"].get_ydata(), at_ten[names])
    assert len(lines["Full"].get_xdata()) == 2


def test_detections_are_of_the_order_in_which_samples_are_kept(plans, tmp_path):
    from sklearn.metrics import average_precision_score, roc_auc_score

    draw("detection", plans, tmp_path / "detection")
    numbers = pd.read_csv(tmp_path / "detection.csv").set_index(["dataset", "method"])
    plan = Plan.read(plans["detection"][0])
    assert len(numbers) == 2 * 3
    for entry in plan.rankings:
        wrong = canonical.load(plan.datasets[entry.dataset].path).corrupted
        scores = np.load(entry.path)["scores"] * (-1 if entry.method == "aum" else 1)
        row = numbers.loc[(entry.dataset, entry.method)]
        assert row["auroc"] == pytest.approx(100 * roc_auc_score(wrong, scores), abs=1e-5)
        precision = average_precision_score(wrong, scores)
        assert row["average_precision"] == pytest.approx(100 * precision, abs=1e-5)
        assert row["wrong"] == pytest.approx(100 * wrong.mean())
    with style.context():
        axes = detection.draw(plan, numbers).axes
    (dashed,) = (line for line in axes[1].lines if line.get_color() == "0.4")
    np.testing.assert_allclose(dashed.get_ydata(), 40, atol=0.1)
    curve = next(line for line in axes[1].lines if line.get_label() == "EL2N")
    assert curve.get_xdata()[-1] == 100
    assert curve.get_ydata().max() <= 100


def test_a_data_map_has_the_coresets_where_they_are(plans):
    plan = Plan.read(plans["data_map"][0])
    evidence = Evidence.load(plan.sources[0].path)
    places = data_map.data_map(evidence)
    seen, target = evidence["seen"], np.where(evidence["seen"], evidence["target_prob"], np.nan)
    np.testing.assert_allclose(places["confidence"], np.nanmean(target, axis=0), rtol=1e-5)
    np.testing.assert_allclose(places["variability"], np.nanstd(target, axis=0), rtol=1e-4)
    right = np.where(seen, evidence["correct"], np.nan)
    np.testing.assert_allclose(places["correctness"], np.nanmean(right, axis=0), rtol=1e-5)
    with style.context():
        axes = data_map.draw(plan).axes
    wrong = canonical.load(plan.datasets["digits+noise=0.1"].path).corrupted
    run = next(r for r in plan.runs if (r.method, r.rate) == ("el2n", RATES[0]))
    indices = np.load(Path(run.coresets, "seed0.npz"))["indices"]
    title = f"(c) EL2N\n{100 * wrong[indices].mean():.0f} % wrong labels"
    assert axes[2].get_title(loc="left") == title
    pale, dots, crosses = (part.get_offsets().data for part in axes[2].collections)
    shown = {tuple(point) for part in (dots, crosses) for point in np.round(part, 6).tolist()}
    expected = places.iloc[indices][["variability", "confidence"]].to_numpy()
    assert shown == {tuple(point) for point in np.round(expected, 6).tolist()}
    assert len(crosses) == wrong[indices].sum()
    assert len(pale) == len(wrong) - len(indices)


def test_figures_of_conditions_need_them(plans, tmp_path):
    for figure in ("accuracy_over_condition", "detection"):
        with pytest.raises(UserError, match=f"figure {figure}: experiment 'small_study' has no"):
            draw(figure, {figure: plans["accuracy_over_rate"]}, tmp_path / figure)


def test_pairs_of_images_are_of_the_classes_that_are_named(plans, tmp_path):
    draw("eva_figure6", plans, tmp_path / "six")
    numbers = pd.read_csv(tmp_path / "six.csv")
    assert numbers[["dataset", "space"]].to_numpy().tolist() == [
        [dataset, space] for dataset in ("digits", "parity") for space in ("features", "pixels")
    ]
    with style.context():
        axes = eva_figure6.draw(Plan.read(plans["eva_figure6"][0]), numbers).axes
    assert len(axes) == 4
    names = [[text.get_text() for text in ax.get_xticklabels()] for ax in axes]
    below = [[text.get_text() for text in ax.child_axes[0].get_xticklabels()] for ax in axes]
    assert names[2] == ["even", "odd"]
    assert below[2] == ["odd", "even"]
    assert all(name != other for name, other in zip(names[0], below[0], strict=True))


def test_any_number_of_methods_and_rows_look_different(monkeypatch):
    more = {f"method{i}": None for i in range(100)}
    monkeypatch.setattr(style, "METHODS", methods.METHODS | more)
    rows = [*methods.METHODS, *more, *(f"row{i}" for i in range(50))]
    looks = [style.of_method(key, rows) for key in rows]
    assert len(set(looks)) == len({color for color, _ in looks}) == len(rows)
    assert all(marker in Line2D.markers for _, marker in looks)
    # A method looks the same, whichever rows are beside it.
    assert [style.of_method(key, [key]) for key in more] == looks[len(methods.METHODS) :][:100]


def _lose_scores(plan: dict) -> tuple[str, str]:
    plan["scores"][0]["path"] = "none.npz"
    return "score_distribution", "none.npz does not exist"


def _lose_every_score(plan: dict) -> tuple[str, str]:
    plan["scores"] = []
    return "gallery", "experiment 'small_study' has no scores"


def _lose_evidence(plan: dict) -> tuple[str, str]:
    plan["sources"][0]["path"] = "nowhere"
    return "score_evolution", "nowhere"


def _lose_windows(plan: dict) -> tuple[str, str]:
    plan["windows"][0]["path"] = plan["scores"][0]["path"]
    return "window_overlap", "is not a file of scores: it has no pairs"


def _other_data(plan: dict) -> tuple[str, str]:
    np.savez(plan["scores"][0]["path"] + ".short.npz", scores=np.zeros(3), recipe=RECIPE)
    plan["scores"][0]["path"] += ".short.npz"
    return "gallery", "3 scores, digits has 900 training images"


@pytest.mark.parametrize(
    "mistake", [_lose_scores, _lose_every_score, _lose_evidence, _lose_windows, _other_data]
)
def test_mistakes_are_one_line_and_leave_no_file(study, tmp_path, mistake):
    plan = copy.deepcopy(study)
    figure, message = mistake(plan)
    path = save_plan(plan, tmp_path)
    with pytest.raises(UserError) as raised:
        draw(figure, {figure: (path, path)}, tmp_path / "out" / figure)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "out").exists()


def test_figures_say_which_rows_and_options_they_lack(plans, tmp_path):
    plain = plans["accuracy_over_rate"]
    for figure in ("eva_figure3", "eva_figure4", "eva_figure5", "eva_figure_a2"):
        with pytest.raises(UserError, match=f"figure {figure}: .*(lacks the rows|has no rows)"):
            draw(figure, {figure: plain}, tmp_path / figure)
    with pytest.raises(UserError, match="eva_figure3 needs --table and --seeds"):
        command.main(["eva_figure3", "--plan", str(plain[0]), "--out", "x"], standalone_mode=False)
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match="lacks the columns"):
        aggregate.read_table(tmp_path / "table.csv")


def test_titles_name_what_varies(study, tmp_path):
    plan = copy.deepcopy(study)
    plan["columns"], plan["networks"] = plan["columns"][1:], plan["networks"][:1]
    plan["runs"] = [
        entry
        for entry in plan["runs"]
        if (entry["column"], entry["network"]) == ("clean", "pixels")
    ]
    loaded = Plan.read(save_plan(plan, tmp_path))
    values = aggregate.aggregate(loaded).table
    values = published.compare(values, loaded, published.read_published([], []))
    assert [title for _, _, title in panels.panels(loaded, values)] == ["Digits", "Parity"]
    assert json.loads((tmp_path / "plan.json").read_text())["name"] == "small_study"


def test_long_names_of_datasets_do_not_run_into_the_next_panel(plans, monkeypatch):
    long = "FashionMNIST (6,000 training images)"
    read = Plan.read

    def renamed(path):
        plan = read(path)
        entries = {key: replace(each, label=long) for key, each in plan.datasets.items()}
        return replace(plan, datasets=entries)

    monkeypatch.setattr(Plan, "read", renamed)
    figure = drawn("paired_difference", plans)
    figure.canvas.draw()
    boxes = [ax.title.get_window_extent() for ax in figure.axes if ax.get_visible()]
    boxes += [ax._left_title.get_window_extent() for ax in figure.axes if ax.get_visible()]
    boxes = [box for box in boxes if box.width > 0]
    assert len(boxes) == len(figure.axes)
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
