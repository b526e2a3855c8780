"""Downloads that survive a poor network and never leave a broken file under its final name."""

import hashlib
import os
import sys
from pathlib import Path

import requests
from filelock import FileLock
from requests import exceptions
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_exponential,
)
from tqdm import tqdm

from medcoreset.errors import UserError
from medcoreset.reading import file_of

DEFAULT_CACHE = "results/downloads"
CHUNK = 1 << 16  # a connection that breaks loses at most this much of what had arrived
# Worth another try: time-outs, too many requests (Zenodo's limit is per minute), a server's trouble.
PASSING_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})


class Interrupted(Exception):
    """A failure that may pass: the download is tried again, from where it stopped."""


def fetch(
    url: str,
    path: str | Path,
    *,
    md5: str,
    attempts: int = 6,
    wait: float = 2.0,
    timeout: float = 30.0,
) -> Path:
    """Download `url` to `path` unless it is there already with this `md5`; return `path`.

    What has arrived is kept beside it (`.part`) and resumed by an HTTP Range request. A failure that
    may pass is tried again, `attempts` times in all, after `wait`, 2·`wait`, 4·`wait` … seconds;
    `timeout` is that of a connection without data, in seconds. A lock lets one process at a time
    download a file. Raises UserError, and leaves nothing at `path`, if it cannot be had.
    """
    path = Path(path)
    retrying = Retrying(
        retry=retry_if_exception_type(Interrupted),
        stop=stop_after_attempt(attempts),
        wait=wait_exponential(multiplier=wait, max=60),
        before_sleep=_say_why,
        reraise=True,
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(f".{path.name}.lock")):
            if path.is_file():
                if md5_of(path) == md5:
                    return path
                path.unlink()
            retrying(_attempt, url, path, md5, timeout)
    except Interrupted as failure:
        raise UserError(
            f"download of {url} failed {attempts} times: {failure}; "
            "a copy of the file can be given by data_dir"
        ) from failure
    except OSError as error:
        raise UserError(f"cannot keep a download as {path}: {error}") from error
    return path


def obtain(
    url: str,
    filename: str,
    *,
    md5: str,
    data_dir: str | Path | None,
    mirror: str | None,
    cache: str | Path,
) -> Path:
    """Return the path of an official file, whose MD5 is right.

    It must be at `filename` (which may have folders) under `data_dir`, where that is given; else it
    is downloaded to there under `cache`, from `url`, or from there under the address `mirror`.
    """
    if data_dir is None:
        address = url if mirror is None else f"{mirror.rstrip('/')}/{filename}"
        return fetch(address, Path(cache) / filename, md5=md5)
    path = Path(data_dir) / filename
    if not path.is_file():
        raise UserError(f"data_dir has no official file {path}")
    check_md5(path, md5)
    return path


def check_md5(path: Path, md5: str) -> None:
    """Raise UserError unless a file has the MD5 that the source publishes."""
    found = md5_of(path)
    if found != md5:
        raise UserError(
            f"{path} has MD5 {found}, not the official {md5}: the file is broken or of another release"
        )


def md5_of(path: str | Path) -> str:
    """Return the MD5 of a file, in hexadecimal: the checksum that the sources publish."""
    with file_of(path, "an official file"), Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _say_why(state: RetryCallState) -> None:
    """Tell the user why a download is waiting, and for how long."""
    failed, pause = state.outcome, state.next_action
    assert failed is not None
    assert pause is not None
    sys.stderr.write(f"download: {failed.exception()}; trying again in {pause.sleep:g} s\n")


def _attempt(url: str, path: Path, md5: str, timeout: float) -> None:
    """Download what is missing, check it, and move it to its final name."""
    part = path.with_name(f"{path.name}.part")
    resumed_from = part.stat().st_size if part.is_file() else 0
    try:
        _receive(url, part, resumed_from, timeout)
    except (exceptions.MissingSchema, exceptions.InvalidSchema, exceptions.InvalidURL) as error:
        raise UserError(f"not an address to download from: {error}") from error
    except requests.RequestException as error:
        raise Interrupted(error) from error
    found = md5_of(part)
    if found != md5:
        part.unlink()
        if resumed_from:  # the two halves may be of different files: once more, from the start
            raise Interrupted(f"the resumed file has MD5 {found}, expected {md5}")
        raise UserError(f"{url} has MD5 {found}, expected {md5}: the server sends another file")
    os.replace(part, path)


def _receive(url: str, part: Path, start: int, timeout: float) -> None:
    """Append to `part` what the server has from byte `start` on, or write all if it sends all."""
    # Without this the server may compress, and byte counts would mean another stream's.
    headers = {"Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    with requests.get(url, headers=headers, stream=True, timeout=timeout) as response:
        if start and response.status_code == requests.codes.requested_range_not_satisfiable:
            return  # nothing is left to send: the checksum decides
        if response.status_code in PASSING_STATUS:
            raise Interrupted(f"HTTP status {response.status_code} {response.reason}")
        if not response.ok:
            raise UserError(
                f"download of {url}: HTTP status {response.status_code} {response.reason}"
            )
        resumes = response.headers.get("Content-Range", "").startswith(f"bytes {start}-")
        resumes = resumes and response.status_code == requests.codes.partial_content
        length = response.headers.get("Content-Length")
        total = int(length) + (start if resumes else 0) if length else None
        with (
            part.open("ab" if resumes else "wb") as stream,
            tqdm(
                desc=part.stem,
                total=total,
                initial=start if resumes else 0,
                unit="B",
                unit_scale=True,
                disable=None,  # no bar in a log file
            ) as bar,
        ):
            for chunk in response.iter_content(CHUNK):
                stream.write(chunk)
                bar.update(len(chunk))
