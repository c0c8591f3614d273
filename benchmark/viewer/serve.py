"""The page from a server on this machine alone, for runs whose images are not copied: they are read from where they lie when they are looked at.

Other users of the machine can reach a local port too, so every address begins with a random word that only whoever started the server knows. A name
that a foreign page lets point here (DNS rebinding) is refused by the Host header. Nothing is sent but files of the page and tables beside it that
``run.json`` vouches for, none of them through a link, and the images of the run's cases.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import sys
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from html import escape
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, BinaryIO

from benchmark.datasets.images import UnreadableImage
from benchmark.records import Case, UserError
from benchmark.runs import read_json
from benchmark.screen import say
from benchmark.tables import ENDINGS
from benchmark.viewer.data_files import read_part, script
from benchmark.viewer.radiographs import SERVED_PX, as_jpeg, why_unreadable
from benchmark.viewer.read_back import kept_cases

HTTP_PORT = 80
CACHED_BYTES = 64 * 2**20
MOST_CONNECTIONS = 64
"""at once; a browser opens six"""
STRANGER_SECONDS, SECONDS = 5, 60
"""how long a connection may say nothing, until it has shown the word and after"""
READERS = 2
"""images that are decoded at once: one of 3,000 by 3,000 pixels takes a few hundred megabytes while it is"""
TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".csv": "text/csv; charset=utf-8"}
_PART = re.compile(r"page/(run|cases|images|(model|number|block)-[0-9]{1,9})\.js")
_IMAGE = re.compile(r"page/images/([0-9]{1,9})-([0-9]{1,4})\.jpg")
_TABLE = re.compile(rf"[a-z0-9_]+\.({'|'.join(ENDINGS)})")


class PortTaken(UserError):
    """The port cannot be had."""


class PageServer(ThreadingHTTPServer):
    """Serves one run folder on 127.0.0.1."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = MOST_CONNECTIONS

    def __init__(self, folder: Path, port: int) -> None:
        """Port 0 is a free one. Raises ``PortTaken``."""
        self.folder, self.word = folder.resolve(), secrets.token_urlsafe(24)
        self.cases: Sequence[Case] = kept_cases(folder)
        self.copies = _Copies(self.cases)
        self._free = threading.BoundedSemaphore(MOST_CONNECTIONS)
        self._vouched: tuple[int, frozenset[str]] = (-1, frozenset())
        try:
            super().__init__(("127.0.0.1", port), _Handler)
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            found = "another program has it" if error.errno == errno.EADDRINUSE else "this user may not have it"
            raise PortTaken(f"--port {port} was asked, and {found}; name another, or leave --port away for a free one") from error

    @property
    def port(self) -> int:
        """The one that it got."""
        return int(self.server_address[1])

    def vouches_for(self, name: str) -> bool:
        """Whether ``run.json`` does, as it is now: a page may be written anew while it is served."""
        state = (self.folder / "run.json").stat().st_mtime_ns
        if state != self._vouched[0]:
            self._vouched = (state, frozenset(read_json(self.folder / "run.json")["files"]))
        return name in self._vouched[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        """In a thread of its own, if there is one left."""
        if not self._free.acquire(blocking=False):
            return self.shutdown_request(request)
        try:
            return super().process_request(request, client_address)
        except BaseException:
            self._free.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, and give the thread back."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing of a connection that broke, which is how a browser says that it has seen enough; of anything else one line."""
        error = sys.exception()
        if not isinstance(error, ConnectionError | TimeoutError):
            say(f"an answer failed: {type(error).__name__}: {error}", err=True)

    @property
    def address(self) -> str:
        """Of the page, with the word that lets one in."""
        return f"http://127.0.0.1:{self.port}/{self.word}/index.html"


@contextmanager
def served(folder: Path, port: int = 0) -> Iterator[PageServer]:
    """A server that answers once ``serve_forever`` is called. Raises ``PortTaken``."""
    with PageServer(folder, port) as server:
        yield server


@contextmanager
def redirecting_file(address: str, folder: Path) -> Iterator[Path]:
    """A file of this user's alone that leads to the address: a browser is started with the file's name, which every user of a machine can see.

    It lies in the run's folder, since browsers that live in a box of their own see nothing of the folder for temporary files.
    """
    try:
        descriptor, name = tempfile.mkstemp(prefix=".door-", suffix=".html", dir=folder.absolute())  # 0600
    except OSError:  # a run that may be read alone
        descriptor, name = tempfile.mkstemp(prefix="page-", suffix=".html")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(
                f'<!DOCTYPE html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url={escape(address)}"><title>To the page</title>'
            )
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


class _Copies:
    """JPEGs of images that were looked at lately."""

    def __init__(self, cases: Sequence[Case]) -> None:
        self._cases = cases
        self._kept: OrderedDict[tuple[int, int], bytes] = OrderedDict()
        self._lock, self._reading = threading.Lock(), threading.Semaphore(READERS)

    def jpeg(self, place: int, number: int) -> bytes:
        """Raises ``LookupError`` if there is no such image, ``UnreadableImage`` with words that name no folder."""
        key = (place, number)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        path = self._cases[place].images[number].path
        with self._reading:
            try:
                content = as_jpeg(path, SERVED_PX)
            except UnreadableImage as error:
                raise UnreadableImage(why_unreadable(path)) from error
        with self._lock:
            self._kept[key] = content
            while sum(map(len, self._kept.values())) > CACHED_BYTES and len(self._kept) > 1:
                self._kept.popitem(last=False)
        return content


class _Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD; anything else is refused by the class above it."""

    server: PageServer
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "clala-benchmark", ""
    timeout = STRANGER_SECONDS

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing: the terminal is the user's, and addresses hold the word."""

    def _answer(self) -> None:
        self._has_begun = False
        try:
            self._find()
        except (ConnectionError, TimeoutError):
            raise
        # Files may be damaged, and images anything at all: who looks is told, and the next answer is another one.
        except Exception as error:
            if self._has_begun:
                raise
            self._say(HTTPStatus.INTERNAL_SERVER_ERROR, f"this could not be answered: {type(error).__name__}; write the page anew: view RUN --again")

    def _find(self) -> None:
        hosts = {f"{name}:{self.server.port}" for name in ("127.0.0.1", "localhost")}
        if self.server.port == HTTP_PORT:  # then browsers leave it away
            hosts |= {"127.0.0.1", "localhost"}
        if self.headers.get_all("Host", []) not in [[host] for host in hosts]:
            return self._say(HTTPStatus.FORBIDDEN, "this server answers to 127.0.0.1 alone")
        word, _, name = self.path.partition("?")[0].removeprefix("/").partition("/")
        if not secrets.compare_digest(word.encode("utf-8", "replace"), self.server.word.encode()):
            return self._say(HTTPStatus.NOT_FOUND, "nothing is here")
        self.connection.settimeout(SECONDS)
        name = name or "index.html"
        if found := _IMAGE.fullmatch(name):
            return self._image(name, int(found[1]), int(found[2]))
        if name == "page/images.js":
            return self._images_part()
        if name == "index.html" or _PART.fullmatch(name) or _TABLE.fullmatch(name):
            return self._file(name)
        return self._say(HTTPStatus.NOT_FOUND, "nothing is here")

    def _images_part(self) -> None:
        """The part ``images`` as it is, or as a server's where there are no copies."""
        if (file := self._within("page/images.js")) is None:
            return self._say(HTTPStatus.NOT_FOUND, "nothing is here")
        part = read_part(file)[1]
        if part["how"] == "none" and any(case.images for case in self.server.cases):
            part = {**part, "how": "served", "why": ""}
        return self._send(script("images", part).encode("ascii"), TYPES[".js"])

    def _image(self, name: str, place: int, number: int) -> None:
        if self._within(name) is not None:
            return self._file(name)
        try:
            content = self.server.copies.jpeg(place, number)
        except LookupError:
            return self._say(HTTPStatus.NOT_FOUND, "there is no such image")
        except UnreadableImage as error:
            return self._say(HTTPStatus.NOT_FOUND, str(error))
        return self._send(content, "image/jpeg")

    def _file(self, name: str) -> None:
        if (file := self._within(name)) is None:
            return self._say(HTTPStatus.NOT_FOUND, "nothing is here")
        with file.open("rb") as content:
            self._head(HTTPStatus.OK, TYPES.get(file.suffix, "image/jpeg" if file.suffix == ".jpg" else "text/plain; charset=utf-8"), _size(content))
            if self.command != "HEAD":
                shutil.copyfileobj(content, self.wfile)
        return None

    def _within(self, name: str) -> Path | None:
        """A file of the run folder itself; None for one that is not there, that ``run.json`` does not know, or that a link stands for."""
        file = self.server.folder / name
        return file if file.resolve() == file and file.is_file() and self.server.vouches_for(name) else None

    def _send(self, content: bytes, kind: str, status: HTTPStatus = HTTPStatus.OK) -> None:
        self._head(status, kind, len(content))
        if self.command != "HEAD":
            self.wfile.write(content)

    def _say(self, status: HTTPStatus, words: str) -> None:
        self._send(f"{words}\n".encode(), "text/plain; charset=utf-8", status)

    def _head(self, status: HTTPStatus, kind: str, length: int) -> None:
        self._has_begun = True
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(length))
        self.send_header("Cache-Control", "no-store")  # reports of patients do not stay in a browser's cache
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("Content-Security-Policy", "frame-ancestors 'none'")
        self.end_headers()


def _size(file: BinaryIO) -> int:
    return os.fstat(file.fileno()).st_size
