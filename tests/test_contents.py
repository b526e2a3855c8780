"""What files hold is known by contents, and files are read once."""

import os
from pathlib import Path

import pytest

from medcoreset import contents
from medcoreset.contents import digest

OLD = 1_000_000_000 * 10**9  # nanoseconds: September 2001


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """Two files, which count as not changed just now."""
    monkeypatch.setattr(contents, "SETTLED", -1)
    (tmp_path / "data").mkdir()
    for name in ("a", "b"):
        (tmp_path / "data" / name).write_text(name)
    return tmp_path / "data"


def of(folder: Path) -> str:
    """Return the digest, which is the same without what was kept."""
    found = digest(folder, ["a", "b"], folder.parent / "kept.json")
    assert found == digest(folder, ["b", "a"])
    return found


def test_times_do_not_count(folder):
    before = of(folder)
    os.utime(folder / "a", ns=(OLD, OLD))
    assert of(folder) == before
    (folder / "b").rename(folder / "c")
    (folder / "b").write_bytes((folder / "c").read_bytes())
    assert of(folder) == before


def replaced_by_an_older_one(path: Path) -> None:
    path.with_name("other").write_text("x")
    os.utime(path.with_name("other"), ns=(OLD, OLD))
    path.with_name("other").rename(path)


def overwritten(path: Path) -> None:
    times = path.stat()
    path.write_text("x")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.mark.parametrize(
    "change",
    [replaced_by_an_older_one, overwritten, lambda path: path.write_text("longer"), Path.unlink],
    ids=["replaced by an older one", "overwritten, of the same size and time", "longer", "missing"],
)
def test_contents_count(folder, change):
    before = of(folder)
    change(folder / "a")
    assert of(folder) != before
    (folder / "a").write_text("a")
    assert of(folder) == before


def test_names_count(folder):
    before = digest(folder, ["a"])
    (folder / "a").rename(folder / "é")
    assert digest(folder, ["é"]) != before


def test_files_are_read_once(folder, monkeypatch):
    before = of(folder)
    monkeypatch.setattr(contents, "sha256_of", None)
    assert digest(folder, ["a", "b"], folder.parent / "kept.json") == before


def test_what_changed_just_now_is_read_again(folder, monkeypatch):
    monkeypatch.setattr(contents, "SETTLED", 60)
    before = of(folder)
    os.utime(folder / "b", ns=(OLD, OLD))  # still it was just now that it changed
    monkeypatch.setattr(contents, "sha256_of", lambda path: f"new {path}")
    assert digest(folder, ["a", "b"], folder.parent / "kept.json") != before


@pytest.mark.parametrize("content", [b"", b"\xff", b"[1]", b'{"x": 1}', b'{"x": '])
def test_what_is_kept_may_be_damaged(folder, content):
    before = of(folder)
    (folder.parent / "kept.json").write_bytes(content)
    assert of(folder) == before


def test_what_is_kept_need_not_be_writable(folder):
    (folder.parent / "file").touch()
    assert digest(folder, ["a"], folder.parent / "file" / "kept.json") == digest(folder, ["a"])


def test_what_is_no_file_is_not_opened(folder):
    (folder / "a").unlink()
    os.mkfifo(folder / "a")
    assert of(folder) == of(folder)


def test_other_folders_stay_known(folder, monkeypatch):
    (folder / "within").mkdir()
    (folder / "within" / "c").write_text("c")
    kept = folder.parent / "kept.json"
    before = digest(folder, ["a"], kept), digest(folder / "within", ["c"], kept)
    monkeypatch.setattr(contents, "sha256_of", None)
    assert (digest(folder, ["a"], kept), digest(folder / "within", ["c"], kept)) == before
