"""What MkDocs makes of the repository: generated tables, and pages that lie elsewhere."""

import os
import re
import sys
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "workflow"))

from medcoreset.study import reference  # noqa: E402, the path is set above

ELSEWHERE = {
    "project/changelog.md": "CHANGELOG.md",
    "project/contributing.md": "CONTRIBUTING.md",
    "reference/configuration.md": "config/README.md",
}
"""Page → the file of the repository that it shows."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are no files of `docs/`."""
    for uri, source in ELSEWHERE.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, uri, content=_linked(text, uri)))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Fill in the generated tables."""
    return reference.in_document(markdown)


def _linked(text: str, uri: str) -> str:
    """Return a file's text with links to pages of the site as the page `uri` has them."""

    def link(found: re.Match) -> str:
        target, _, anchor = found[1].removeprefix("docs/").partition("#")
        target = os.path.relpath(target, Path(uri).parent)
        return f"]({target}{'#' + anchor if anchor else ''})"

    return re.sub(r"\]\((docs/[^)]+)\)", link, text)
