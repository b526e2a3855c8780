"""What MkDocs makes of the repository: generated tables, the notebook, and pages that lie elsewhere."""

import base64
import os
import re
import sys
from pathlib import Path

import nbformat
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "workflow"))

from medcoreset.study import reference  # noqa: E402, the path is set above

NOTEBOOK = ROOT / "docs" / "notebook" / "digits.ipynb"

ELSEWHERE = {
    "index.md": "README.md",
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
    text, pictures = _of_notebook(NOTEBOOK)
    files.append(File.generated(config, "notebook.md", content=text))
    for name, content in pictures.items():
        files.append(File.generated(config, name, content=content))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Fill in the generated tables."""
    return reference.in_document(markdown)


def _linked(text: str, uri: str) -> str:
    """Return a file's text with its links as the page `uri` has them; what has no page is no link."""
    page_of = {source: page for page, source in ELSEWHERE.items()}
    page_of["docs/notebook/digits.ipynb"] = "notebook.md"

    def link(found: re.Match) -> str:
        words, target = found.groups()
        if target.startswith(("#", "https:")):
            return found[0]
        file, _, anchor = target.partition("#")
        page = page_of.get(file, file.removeprefix("docs/") if file.startswith("docs/") else None)
        if page is None:
            return words
        return f"[{words}]({os.path.relpath(page, Path(uri).parent)}{anchor and f'#{anchor}'})"

    return re.sub(r"\[([^\]]*)\]\(([^)\s]+)\)", link, text)


def _of_notebook(path: Path) -> tuple[str, dict[str, bytes]]:
    """Return an executed notebook as Markdown, and its pictures by name."""
    parts, pictures = [], {}
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "markdown":
            parts.append(cell.source)
            continue
        parts.append(f"```python\n{cell.source}\n```")
        for output in cell.outputs:
            data = output.get("data", {})
            if "image/png" in data:
                name = f"notebook/picture{len(pictures) + 1}.png"
                pictures[name] = base64.b64decode(data["image/png"])
                parts.append(f"![What the cell above draws]({name})")
            elif text := output.get("text") or data.get("text/plain", ""):
                parts.append(f"```text\n{text.rstrip()}\n```")
    return "\n\n".join(parts), pictures
