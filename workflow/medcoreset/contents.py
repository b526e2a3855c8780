"""What files hold, known without reading them again: a file is read when its size or times change."""

import hashlib
import json
import os
import stat
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from medcoreset.atomic import replacing
from medcoreset.errors import UserError, say
from medcoreset.reading import read_json, sha256_of

SETTLED = 2.0
"""Seconds. A file that changed less than so long ago may change again and have the same times, so
coarse are those of some file systems; it is read again next time."""
LONG = 10**9
"""Bytes; that more are to be read is said."""


def digest(root: str | Path, names: Iterable[str], kept: str | Path | None = None) -> str:
    """Return the SHA-256 of the names below `root`, and of what the files of these names hold.

    What each file holds is kept in the JSON file `kept`, with the file's size, times and inode, by
    which a change is noticed: a file without one is not opened. A `kept` that cannot be read or
    written costs time alone. A file that cannot be read counts with the reason.
    """
    everything = _load(kept)
    before, now = everything.get(str(root), {}), {}
    states = {name: _state(f"{root}/{name}") for name in sorted(names)}
    news = {name for name, state in states.items() if before.get(name, (None,))[0] != state}
    _tell(root, [states[name] for name in news])
    start, total = time.time_ns(), hashlib.sha256()
    for name, state in states.items():
        held = _held(f"{root}/{name}", state) if name in news else before[name][1]
        total.update(os.fsencode(f"{name}\0{held}\n"))
        if name not in news or _is_settled(state, start):
            now[name] = [state, held]
    if now != before:
        _save(kept, {**everything, str(root): now})
    return total.hexdigest()


def _state(path: str) -> str:
    """Return a file's size, times of change and inode; nothing for what is no file."""
    try:
        status = os.stat(path)
    except OSError:
        return ""
    if not stat.S_ISREG(status.st_mode):
        return ""
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}"


def _is_settled(state: str, now: int) -> bool:
    """Whether a file was last changed long before `now`, in nanoseconds, whatever it says itself."""
    return bool(state) and now - max(map(int, state.split()[1:3])) > SETTLED * 1e9


def _held(path: str, state: str) -> str:
    if not state:
        return "no file"
    try:
        return sha256_of(path)
    except OSError as problem:
        return str(problem.strerror)


def _tell(root: str | Path, states: list[str]) -> None:
    size = sum(int(state.split()[0]) for state in states if state)
    if size > LONG:
        say(f"reading {len(states)} files of {root}, {size / 1e9:.0f} GB, to know what they hold")


def _load(kept: str | Path | None) -> dict[str, Any]:
    if kept is None or not Path(kept).is_file():
        return {}
    with suppress(UserError):
        content = read_json(kept, "a list of what files hold")
        if all(isinstance(each, dict) for each in content.values()):
            return content
    return {}


def _save(kept: str | Path | None, content: dict[str, Any]) -> None:
    if kept is not None:
        with suppress(UserError, OSError), replacing(kept) as temporary:
            temporary.write_text(json.dumps(content), encoding="utf-8")
