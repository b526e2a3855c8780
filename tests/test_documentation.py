"""What the documents say is what the code does: every code block is run, or checked as far as it can be."""

import ast
import importlib
import importlib.util
import os
import re
import shlex
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import click
import nbformat
import pytest
import yaml
from nbclient import NotebookClient

import medcoreset
from medcoreset import methods
from medcoreset.__main__ import STAGES
from medcoreset.errors import UserError
from medcoreset.evidence import Evidence
from medcoreset.figures import read
from medcoreset.methods.registry import METHODS
from medcoreset.selection.select import select
from medcoreset.study import configuration, reference
from medcoreset.study.claims import Claims
from medcoreset.study.documents import parse_yaml
from medcoreset.study.schema import schema, validated
from tests.any_evidence import evidence_of
from tests.conftest import ROOT
from tests.own_loop import OWN_LOOP
from tests.studies import write

pytestmark = pytest.mark.long

FENCE = re.compile(
    r"^(<!-- not run: [^\n]*-->\n)?( *)```(\w+)([^\n]*)\n(.*?)^\2```$", re.DOTALL | re.MULTILINE
)
TITLE = re.compile(r'title="([^"]+)"')

WORKFLOW = ".github/workflows/main.yaml"
STUDY = configuration.load({})
GROUPS = {"eva", "deepcore", "all", "every", "published"}


class Block(NamedTuple):
    """A fenced block of a document: its lines without indentation, and whether they can be run here."""

    page: str
    language: str
    title: str
    text: str
    runs: bool


def pages() -> list[Path]:
    own = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "config/README.md")]
    return [*own, *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(*languages: str) -> list[Block]:
    found = []
    for path in pages():
        document = path.read_text(encoding="utf-8")
        for not_run, indent, language, about, text in FENCE.findall(document):
            title = TITLE.search(about)
            text = re.sub(f"^{indent}", "", text, flags=re.MULTILINE)
            page = str(path.relative_to(ROOT))
            found.append(Block(page, language, title[1] if title else "", text, not not_run))
    return [each for each in found if each.language in languages]


def commands() -> list[tuple[str, list[str]]]:
    """Return the commands of all shell blocks, and of the workflow for GitHub, as words with their page."""
    texts = [(block.page, block.text) for block in blocks("sh")]
    steps = yaml.safe_load((ROOT / WORKFLOW).read_text(encoding="utf-8"))["jobs"].values()
    texts += [(WORKFLOW, step["run"]) for job in steps for step in job["steps"] if "run" in step]
    found = []
    for page, text in texts:
        for line in text.replace("\\\n", " ").splitlines():
            if words := shlex.split(line, comments=True):
                found.append((page, words))
    return found


def test_every_block_has_a_language_that_is_checked():
    every = {found[2] for path in pages() for found in FENCE.findall(path.read_text("utf-8"))}
    assert every == {"sh", "python", "yaml", "text"}
    for path in pages():
        text = path.read_text(encoding="utf-8")
        opened = len(re.findall(r"^ *```\w+", text, re.MULTILINE))
        fences = len(re.findall(r"^ *```", text, re.MULTILINE))
        assert fences == 2 * opened == 2 * len(FENCE.findall(text)), path


def by_page() -> dict[str, list[Block]]:
    found = defaultdict(list)
    for block in blocks("python"):
        if not block.title and block.runs and block.page != "README.md":
            found[block.page].append(block)
    return found


@pytest.mark.parametrize("page", sorted(by_page()))
def test_the_python_of_a_page_runs(page, tmp_path):
    code = "\n".join(block.text for block in by_page()[page])
    (tmp_path / "page.py").write_text(code)
    for start in [["page.py"], *outputs(page)]:
        done = subprocess.run(
            [sys.executable, *start],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT / "workflow")},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, f"{start}: {done.stderr}"
        for block in blocks("text") if start == ["page.py"] else ():
            if block.page == page:
                assert words_of(done.stdout) == words_of(block.text)


def words_of(printed: str) -> list[str]:
    """Return what was printed without the numbers, which differ between processors."""
    return re.sub(r"[\d.]+", "0", printed).split()


def test_python_that_is_not_run_imports_what_exists():
    (block,) = (each for each in blocks("python") if not each.runs)
    for node in ast.parse(block.text).body:
        if isinstance(node, ast.ImportFrom):
            file = Path(importlib.util.find_spec(node.module).origin)
            # Not imported, since that takes longer than all other blocks.
            assert all(alias.name in file.read_text(encoding="utf-8") for alias in node.names)


def test_the_three_lines_of_the_readme_run(tmp_path, monkeypatch):
    """As printed, with the names that it takes from a training loop of the reader's own."""
    monkeypatch.chdir(tmp_path)
    (block,) = (each for each in blocks("python") if each.page == "README.md")
    names: dict[str, Any] = {}
    exec(OWN_LOOP, names)
    exec(block.text, names)
    assert len(names["subset"]) == len(set(names["selection"].indices)) == 20


def test_the_notebook_runs_and_its_pictures_are_in_it(tmp_path):
    path = ROOT / "docs" / "notebook" / "digits.ipynb"
    shown = nbformat.read(path, as_version=4)
    pictures = [out for cell in shown.cells for out in cell.get("outputs", ()) if "data" in out]
    assert sum("image/png" in out["data"] for out in pictures) == 3
    run = nbformat.read(path, as_version=4)
    place = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(run, timeout=300, kernel_name="python3", resources=place).execute()
    assert kinds_of_outputs(run) == kinds_of_outputs(shown), "execute the notebook, and save it"


def kinds_of_outputs(notebook: nbformat.NotebookNode) -> list[list[str]]:
    """Return what the cells gave, without what a library warned of on standard error."""
    return [
        [out.output_type for out in cell.get("outputs", ()) if out.get("name") != "stderr"]
        for cell in notebook.cells
    ]


def outputs(page: str) -> list[list[str]]:
    """Return the package's commands on a page that read what its Python wrote."""
    return [
        words[1:]
        for place, words in commands()
        if place == page
        and words[:3] == ["python", "-m", "medcoreset"]
        and {"evidence", "evidence.npz"} & set(words[4:])
    ]


def test_shell_blocks_are_shell():
    text = "\n".join(block.text for block in blocks("sh"))
    done = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("page", "words"),
    [pytest.param(*each, id=f"{each[0]}: {' '.join(each[1])}") for each in commands()],
)
def test_what_a_command_names_exists(page, words):
    match words:
        case ["snakemake", *rest]:
            check_snakemake(rest)
        case ["make", *rest]:
            targets = set(
                re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
            )
            assert set(rest) <= targets
        case ["python", "-m", "medcoreset", stage, *rest]:
            check_stage(stage, rest)
        case ["pytest", *rest]:
            assert all((ROOT / name).is_file() for name in rest)
        case [".", ".venv/bin/activate"] | ["pre-commit", "install"] | ["pip", "install", *_]:
            pass
        case _:
            pytest.fail(f"{page}: no test knows the command {' '.join(words)}")


def check_snakemake(words: list[str]) -> None:
    from snakemake.cli import get_argument_parser

    known = get_argument_parser(profiles=[])
    given = known.parse_args(words)
    targets = {*STUDY.experiments, *GROUPS, "TARGET"}
    assert set(given.targets) <= targets, f"no target {set(given.targets) - targets}"
    profiles = [given.profile] if isinstance(given.profile, str) else given.profile or []
    assert all((ROOT / profile / "config.yaml").is_file() for profile in profiles)
    keys = {pair.partition("=")[0] for pair in given.config or ()}
    assert keys <= set(schema("config")["properties"])


def check_stage(stage: str, words: list[str]) -> None:
    assert stage in STAGES
    command = importlib.import_module(f"medcoreset.commands.{stage}").command
    known = {name for param in command.params for name in (*param.opts, *param.secondary_opts)}
    assert {word for word in words if word.startswith("--")} <= known | {"--help"}
    if stage == "select":
        settings = dict(words[i + 1].split("=") for i, word in enumerate(words) if word == "--set")
        methods.parse_options(words[0], settings)
    if stage == "reference" and words[0] not in ("--into", "TABLE"):
        reference.table(words[0])
    assert isinstance(command, click.Command)


@pytest.mark.parametrize("block", blocks("yaml"), ids=lambda block: f"{block.page}: {block.title}")
def test_configuration_that_is_shown_is_valid(block, tmp_path):
    content = parse_yaml(block.text, block.page)
    keys = set(content)
    if keys <= set(schema("config")["properties"]):
        validated(content, "config", block.page)
        return
    if "claims" in keys:
        write(tmp_path, "claims", "shown", content)
        assert Claims(configuration.load({"studies": [str(tmp_path)]})).every
        return
    small = {"title": "T", "datasets": ["digits"], "protocols": ["clean"], "networks": ["lenet"]}
    small |= {"surrogate": {"network": "lenet"}, "rates": [0.1, 0.2], "seeds": [0], "methods": {}}
    (tmp_path / "experiments").mkdir()
    file = tmp_path / "experiments" / "shown.yaml"
    file.write_text(yaml.safe_dump(small | content, sort_keys=False))
    study = configuration.load({"studies": [str(tmp_path)]})
    assert study.experiments["shown"]["methods"]


def shown(title: str) -> str:
    return next(block.text for block in blocks("python") if block.title.endswith(title))


def test_the_method_that_is_shown_selects(tmp_path, monkeypatch):
    file = tmp_path / "loss.py"
    file.write_text(shown("methods/loss.py"))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    try:
        importlib.import_module("loss")
        method = METHODS["loss"]
        evidence = evidence_of(method, 60)
        coreset = select(method, evidence, 20)
        assert len(set(coreset.indices)) == 20
        short = Evidence({"labels": evidence["labels"], "target_prob": evidence["target_prob"][:5]})
        with pytest.raises(UserError, match=r"epochs is 10, .* have 5 epochs"):
            select(method, short, 20)
        assert len(select(method, short, 20, options={"epochs": 5}).indices) == 20
    finally:
        METHODS.pop("loss", None)
        sys.modules.pop("loss", None)


def test_the_figure_that_is_shown_is_one(tmp_path):
    (tmp_path / "rows.py").write_text(shown("figures/rows.py"))
    (tmp_path / "rows.rst").write_text("Rows.\n")
    assert read(tmp_path, tmp_path)["rows"].needs == {"table"}


def test_the_figure_that_is_shown_is_drawn():
    import pandas as pd

    from medcoreset.plan import Plan

    code: dict = {}
    exec(shown("figures/rows.py"), code)
    plan = Plan.__new__(Plan)
    object.__setattr__(plan, "methods", {"random": "Random", "eva": "EVA"})
    table = pd.DataFrame({"method": ["random", "eva", "eva"], "n": [3, 3, 3]})
    axes = code["draw"](plan, table).axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["EVA", "Random"]
    assert [bar.get_width() for bar in axes.patches] == [6, 3]


def test_generated_tables_of_the_configuration_guide_are_up_to_date():
    text = (ROOT / "config" / "README.md").read_text(encoding="utf-8")
    assert reference.in_document(text) == text, (
        "run: python -m medcoreset reference --into config/README.md"
    )


@pytest.mark.parametrize("name", reference.TABLES)
def test_a_reference_table_is_whole(name):
    lines = reference.table(name).splitlines()
    widths = []
    for line in lines:
        if line.startswith("|"):
            widths.append(len(re.split(r"(?<!\\)\|", line)))
        else:
            assert len(set(widths)) <= 1
            widths = []
    assert len(set(widths)) <= 1
    assert len(lines) > 3


def test_a_table_that_is_none_is_named():
    with pytest.raises(UserError, match=r"no table 'nets'.*networks"):
        reference.in_document("<!-- table: nets -->\n<!-- /table -->\n")


def test_every_experiment_is_in_the_list_of_targets():
    text = (ROOT / "docs" / "howto" / "reproduce.md").read_text(encoding="utf-8")
    for path in (ROOT / "config" / "experiments").glob("*.yaml"):
        assert f"`{path.stem}`" in text, path.stem


def test_rooms_know_those_above_them_alone():
    page = (ROOT / "docs" / "project" / "architecture.md").read_text(encoding="utf-8")
    table = page[page.index("## The rooms") : page.index("Files directly in the package")]
    rooms = [
        room
        for line in table.splitlines()
        for room in re.findall(r"`(\w+)/`", line.split("|")[1] if "|" in line else "")
    ]
    package = ROOT / "workflow" / "medcoreset"
    assert set(rooms) == {path.name for path in package.iterdir() if any(path.glob("*.py"))}
    for path in package.glob("*/*.py"):
        allowed = rooms[: rooms.index(path.parent.name) + 1]
        for module in imported_by(path):
            room = module.split(".")[1]
            reads = room == "selection" and path.relative_to(package) == Path("training/coreset.py")
            assert room not in rooms or room in allowed or reads, f"{path} imports {module}"


def imported_by(path: Path) -> list[str]:
    """Return the modules of the package that a file imports, at its top or inside of functions."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "medcoreset":
            found += [f"medcoreset.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found.append(node.module)
    return [module for module in found if module.startswith("medcoreset.")]


def test_the_readme_is_one_screen():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < 75


def test_links_of_files_that_are_no_pages_lead_somewhere():
    for name in ("README.md", "CONTRIBUTING.md", "config/README.md"):
        for target in re.findall(r"\]\(([^)#\s]+)", (ROOT / name).read_text(encoding="utf-8")):
            if "://" not in target:
                assert ((ROOT / name).parent / target).exists(), f"{name}: {target}"


def build(config: Path, folder: Path) -> subprocess.CompletedProcess:
    """Build a site as `make docs` does; with --quiet warnings would not count."""
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", config, "--site-dir", folder],
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The documentation."""
    folder = tmp_path_factory.mktemp("site")
    done = build(ROOT / "mkdocs.yml", folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_a_link_that_leads_nowhere_ends_the_build(tmp_path):
    assert "mkdocs build --strict\n" in (ROOT / "Makefile").read_text(encoding="utf-8")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text("[a page](none.md), [a part](#none)\n")
    config = tmp_path / "mkdocs.yml"
    config.write_text(f"INHERIT: {ROOT / 'mkdocs.yml'}\nnav: [index.md]\nhooks: []\nplugins: []\n")
    done = build(config, tmp_path / "site")
    assert done.returncode != 0
    assert "Aborted with 2 warnings in strict mode" in done.stdout + done.stderr


def test_the_site_lists_what_is_registered(site):
    listed = (site / "reference" / "methods.html").read_text(encoding="utf-8")
    assert all(f'id="{name}"' in listed for name in METHODS)
    stages = (site / "reference" / "commands.html").read_text(encoding="utf-8")
    assert all(f"medcoreset {stage} [OPTIONS]" in stages for stage in STAGES)


def test_the_site_loads_nothing_from_elsewhere(site):
    loaded = re.compile(
        r'<(?:script|link|img|iframe)[^>]*(?:src|href)="?(https?:)?//', re.IGNORECASE
    )
    for page in site.rglob("*.html"):
        assert not loaded.search(page.read_text(encoding="utf-8")), page
    for sheet in site.rglob("*.css"):
        assert not re.search(r"url\(\s*['\"]?https?:", sheet.read_text(encoding="utf-8")), sheet


def test_the_reference_has_the_whole_interface(site):
    page = (site / "reference" / "api.html").read_text(encoding="utf-8")
    for name in set(medcoreset.__all__) - {"methods"}:
        assert re.search(rf'id="medcoreset[\w.]*\.{name}"', page), name
