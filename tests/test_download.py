"""The downloader against a real local server that is made to fail."""

import hashlib
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from medcoreset.datasets.download import CHUNK, fetch
from medcoreset.errors import UserError

CONTENT = np.random.default_rng(0).bytes(300_000)
MD5 = hashlib.md5(CONTENT).hexdigest()
HALF = 2 * CHUNK

Answer = Callable[[BaseHTTPRequestHandler], None]


class Server(ThreadingHTTPServer):
    """Gives the n-th request the n-th answer (the last one from then on) and notes its headers."""

    daemon_threads = True

    def __init__(self, *answers: Answer):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers = answers
        self.ranges: list[str | None] = []
        self.url = f"http://127.0.0.1:{self.server_port}/data.npz"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        number = len(self.server.ranges)
        self.server.ranges.append(self.headers.get("Range"))
        self.server.answers[min(number, len(self.server.answers) - 1)](self)

    def log_message(self, *_: object) -> None:
        pass


def whole(handler: BaseHTTPRequestHandler, content: bytes = CONTENT) -> None:
    """Answer with everything, as a server does that does not know Range."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    handler.wfile.write(content)


def ranged(handler: BaseHTTPRequestHandler, content: bytes = CONTENT) -> None:
    """Answer with the range that was asked for."""
    asked = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
    if asked is None:
        return whole(handler, content)
    start = int(asked[1])
    if start >= len(content):
        return status(416)(handler)
    handler.send_response(206)
    handler.send_header("Content-Length", str(len(content) - start))
    handler.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
    handler.end_headers()
    handler.wfile.write(content[start:])
    return None


def status(code: int) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


def cut_off(handler: BaseHTTPRequestHandler) -> None:
    """Announce everything, send half, hang up."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(CONTENT)))
    handler.end_headers()
    handler.wfile.write(CONTENT[:HALF])
    handler.wfile.flush()


def stall(handler: BaseHTTPRequestHandler) -> None:
    """Announce everything, send half, then fall silent but stay connected."""
    cut_off(handler)
    handler.server.released.wait(20)


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(*answers: Answer) -> Server:
        server = Server(*answers)
        server.released = threading.Event()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.released.set()
        server.shutdown()
        server.server_close()


def get(server: Server, path: Path, **options: object) -> Path:
    return fetch(server.url, path, **{"md5": MD5, "wait": 0.001, "timeout": 5.0, **options})


def visible(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir() if not file.name.startswith("."))


def test_downloads_once(serve, tmp_path):
    server = serve(ranged)
    path = tmp_path / "new" / "data.npz"
    assert get(server, path).read_bytes() == CONTENT
    get(server, path)
    assert server.ranges == [None]
    assert visible(path.parent) == ["data.npz"]


def test_broken_file_in_the_cache_is_replaced(serve, tmp_path):
    path = tmp_path / "data.npz"
    path.write_bytes(CONTENT[:1000])
    get(serve(ranged), path)
    assert path.read_bytes() == CONTENT


def test_missing_on_the_server_is_not_tried_again(serve, tmp_path):
    server = serve(status(404))
    with pytest.raises(UserError, match=r"data\.npz: HTTP status 404"):
        get(server, tmp_path / "data.npz")
    assert len(server.ranges) == 1
    assert visible(tmp_path) == []


@pytest.mark.parametrize("code", [429, 500, 503])
def test_passing_trouble_is_waited_for(serve, tmp_path, code):
    server = serve(status(code), status(code), ranged)
    assert get(server, tmp_path / "data.npz").read_bytes() == CONTENT
    assert len(server.ranges) == 3


def test_lasting_trouble_ends(serve, tmp_path):
    server = serve(status(500))
    with pytest.raises(UserError, match=r"failed 3 times: HTTP status 500"):
        get(server, tmp_path / "data.npz", attempts=3)
    assert len(server.ranges) == 3
    assert visible(tmp_path) == []


@pytest.mark.parametrize("trouble", [cut_off, stall])
def test_resumes_where_it_stopped(serve, tmp_path, trouble):
    server = serve(trouble, ranged)
    assert get(server, tmp_path / "data.npz", timeout=0.5).read_bytes() == CONTENT
    assert server.ranges == [None, f"bytes={HALF}-"]
    assert visible(tmp_path) == ["data.npz"]


def test_resumes_in_a_later_run(serve, tmp_path):
    path = tmp_path / "data.npz"
    with pytest.raises(UserError, match="failed 1 times"):
        get(serve(cut_off), path, attempts=1)
    assert not path.exists()
    assert visible(tmp_path) == ["data.npz.part"]
    server = serve(ranged)
    assert get(server, path).read_bytes() == CONTENT
    assert server.ranges == [f"bytes={HALF}-"]
    assert visible(tmp_path) == ["data.npz"]


def test_server_that_ignores_range(serve, tmp_path):
    server = serve(cut_off, whole)
    assert get(server, tmp_path / "data.npz").read_bytes() == CONTENT
    assert server.ranges[1] is not None


def test_complete_part_is_taken(serve, tmp_path):
    (tmp_path / "data.npz.part").write_bytes(CONTENT)
    assert get(serve(ranged), tmp_path / "data.npz").read_bytes() == CONTENT


def test_part_of_another_file_is_dropped(serve, tmp_path):
    (tmp_path / "data.npz.part").write_bytes(b"x" * 1000)
    server = serve(ranged)
    assert get(server, tmp_path / "data.npz").read_bytes() == CONTENT
    assert server.ranges == ["bytes=1000-", None]


def test_wrong_content_leaves_nothing(serve, tmp_path):
    server = serve(lambda handler: whole(handler, b"<html>please log in</html>"))
    with pytest.raises(UserError, match=f"expected {MD5}"):
        get(server, tmp_path / "data.npz")
    assert len(server.ranges) == 1
    assert visible(tmp_path) == []


def test_no_server(tmp_path):
    with pytest.raises(UserError, match=r"failed 2 times"):
        fetch("http://127.0.0.1:9/data.npz", tmp_path / "d", md5=MD5, attempts=2, wait=0.001)
    assert visible(tmp_path) == []


def test_no_address(tmp_path):
    with pytest.raises(UserError, match="not an address"):
        fetch("data.npz", tmp_path / "d", md5=MD5)


def test_two_processes_download_once(serve, tmp_path):
    def slowly(handler: BaseHTTPRequestHandler) -> None:
        time.sleep(0.5)
        whole(handler)

    server = serve(slowly)
    code = (
        "from medcoreset.datasets.download import fetch; "
        f"fetch({server.url!r}, {str(tmp_path / 'data.npz')!r}, md5={MD5!r})"
    )
    both = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    assert server.ranges == [None]
    assert (tmp_path / "data.npz").read_bytes() == CONTENT
