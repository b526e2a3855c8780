"""What the documents say is what the code does."""

from medcoreset.methods import listing
from tests.conftest import ROOT


def test_methods_of_the_readme_are_those_of_the_registry():
    readme = (ROOT / "README.md").read_text()
    assert readme == listing.in_document(readme), "run: medcoreset methods --into README.md"


def test_every_experiment_is_in_the_readme():
    readme = (ROOT / "README.md").read_text()
    for path in (ROOT / "config" / "experiments").glob("*.yaml"):
        assert path.stem == "demo" or f"`{path.stem}`" in readme, path.stem
