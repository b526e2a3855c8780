"""Files are UTF-8 whatever the locale, and a terminal may lack a letter."""

import ast
import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT, in_ascii_place

PLAIN = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
"""A locale of 128 letters."""
SOURCES = list((ROOT / "workflow" / "medcoreset").rglob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_every_file_of_text_is_opened_as_utf8(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name)):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
        text = ast.unparse(node)
        if name in ("read_text", "write_text"):
            own = name == "read_text" and isinstance(node.func, ast.Name)  # that of reading.py
            assert own or "encoding=" in text, f"{path.name}: {text}"
        elif name == "open":
            of_bytes = ("'rb'", "'wb'", "'r+b'", "'ab'", "archive.", "Image.", "zipfile", "os.open")
            assert "encoding=" in text or any(word in text for word in of_bytes), text


@in_ascii_place
@pytest.mark.parametrize(
    "arguments", [["methods"], ["methods", "--format", "markdown"], ["--help"], ["score", "größe"]]
)
def test_a_terminal_may_lack_a_letter(arguments, tmp_path):
    command = [sys.executable, "-m", "medcoreset", *arguments]
    if arguments[0] == "score":
        command += ["--evidence", "x", "--dataset", "y", "--out", str(tmp_path / "z")]
    done = subprocess.run(command, capture_output=True, env=os.environ | PLAIN, timeout=60)
    assert done.returncode == (2 if arguments[0] == "score" else 0), done.stderr
    assert b"Traceback" not in done.stderr
