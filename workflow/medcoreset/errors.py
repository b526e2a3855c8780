"""What a user is told: the one exception that a mistake raises, and lines on standard error."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

ADVICE = dict.fromkeys(
    (errno.ENOSPC, errno.EDQUOT, errno.EFBIG),
    "make room and run the same again, finished work is kept",
) | dict.fromkeys(
    (errno.EROFS, errno.EACCES, errno.EPERM),
    "give a folder that this user may read and write",
)
"""What to do about a file that cannot be written, by the number of the error."""


class UserError(ValueError):
    """A mistake of the user's: one line that names the argument, key, file or value, and what is allowed.

    The command line prints it without a traceback and exits with status 2. What cannot be printed,
    as a line break in the name of a file, is escaped.
    """

    def __init__(self, line: str) -> None:
        super().__init__("".join(map(_printable, line)))


def _printable(character: str) -> str:
    return character if character.isprintable() else ascii(character)[1:-1]


def say(line: str) -> None:
    """Tell the user one line, on standard error; a log on a full disk goes without it."""
    with suppress(OSError):
        sys.stderr.write(f"medcoreset: {line}\n")


def storage_error(problem: BaseException, path: Path | None = None) -> UserError | None:
    """Return what to tell if `problem` came of a full disk or a forbidden file, else None.

    `path` is the file that was being written, if it is known better than `problem` knows it.
    """
    for cause in _causes(problem):
        if isinstance(cause, OSError):
            number = cause.errno
            # Numpy counts what it has written, and drops the reason why that is not all.
            if number is None and ("requested and" in str(cause) or "free space" in str(cause)):
                number = errno.ENOSPC
            if number in ADVICE:
                where = path or cause.filename or "a file cannot be written"
                return UserError(f"{where}: {os.strerror(number).lower()}; {ADVICE[number]}")
    return None


def _causes(problem: BaseException | None) -> Iterator[BaseException]:
    """Yield an exception and those that it came of: torch and zipfile hide the first."""
    while problem is not None:
        yield problem
        hidden = None if problem.__suppress_context__ else problem.__context__
        problem = problem.__cause__ or hidden
