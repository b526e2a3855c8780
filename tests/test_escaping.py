"""Labels, titles and notes are shown as they were written, in every layout of a table."""

import re
from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown import markdown

from medcoreset.analysis import tables

ODD = "<script>alert(1)</script> a_b & *c* | `d` [e](f) \\ 100 % $x$ {y} ~ ^ #1 &lt; ![g](h)"


def shown(source: str) -> str:
    """Return the text that a browser shows of Markdown."""
    html = markdown(source, extensions=["tables"])
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html)).split())


@pytest.mark.parametrize(
    "text",
    [ODD, "<b>", "_a_", "a_b_c", "__init__", "1. one", "- two", "# three", "&copy;", "a|b", "x\ny"],
)
def test_markdown_shows_text_as_it_is(text):
    plain = tables.plain(text)
    assert "\n" not in plain
    wanted = " ".join(text.split())
    assert shown(f"# {plain}") == wanted
    assert shown(f"- {plain}") == wanted
    assert "<script" not in markdown(plain)


@given(st.text("ab<>&|_*`[]()\\#!-+.1 ;'\"{}$%", max_size=20))
def test_no_label_becomes_a_tag(text):
    html = markdown(
        f"| {tables.plain(text)} | x |\n| --- | --- |\n| 1 | 2 |", extensions=["tables"]
    )
    tags = set(re.findall(r"<\s*/?\s*(\w+)", html))
    assert tags <= {"table", "thead", "tbody", "tr", "th", "td"}
    assert html.count("<th>") == 2


def test_latex_shows_text_as_it_is():
    text = tables._tex(ODD)
    assert "\\textbackslash{}" in text
    for character in "&%$#_{}":
        assert (
            re.search(
                rf"(?<!\\)\{character}",
                re.sub(r"\\textbackslash\{\}|\\text\w+\{\}|\{\[\}|\$[<>|]\$", "", text),
            )
            is None
        )
