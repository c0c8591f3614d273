"""`view --serve`: the page from this machine alone, to whoever has the word, and nothing beside it."""

from __future__ import annotations

import http.client
import io
import json
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from benchmark import evaluator
from benchmark.records import RunConfig
from benchmark.runs import sha256
from benchmark.viewer.opening import page_of
from benchmark.viewer.radiographs import SERVED_PX
from benchmark.viewer.serve import MOST_CONNECTIONS, STRANGER_SECONDS, PageServer, PortTaken, redirecting_file, served

SECRET = "no part of a page"
UNVOUCHED = ("notes.html", "mine.csv", "linked.html", "page/number-77.js")
BESIDE = (
    "run.json",
    "secret.txt",
    "cases.jsonl",
    "settings.json",
    "ours/reports.jsonl",
    ".lock",
    "page/",
    "page/block-9.js",
    "page/block-7.js",
    *UNVOUCHED,
)
ELSEWHERE = ("../secret.js", "page/../secret.txt", "page/%2e%2e/secret.txt", "%2e%2e/secret.js", "page/..%2fsecret.txt", "//etc/passwd")
NO_IMAGE = ("page/images/../run.js", "page/images/0-9.jpg", "page/images/9-0.jpg", "page/images/999999999-0.jpg", "page\\..\\secret.txt")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose images are not copied: one is large, one is gone."""
    place = tmp_path_factory.mktemp("run")
    texts = {"c1": "Cardiomegaly.", "c2": "No pneumothorax."}
    evaluator.score_reports(texts, {"ours": texts}, RunConfig((), ("rouge_l",), "", strata=False, draws=20), place / "run", page="auto")
    Image.fromarray(np.tile(np.arange(2500, dtype=np.uint16) % 251, (100, 1)).astype(np.uint8)).save(place / "film.png")
    cases = [json.loads(line) for line in (place / "run" / "cases.jsonl").read_text().splitlines()]
    for case, name in zip(cases, ("film.png", "gone.png"), strict=True):
        case["images"] = [{"path": str(place / name), "view": "PA", "id": ""}]
    (place / "run" / "cases.jsonl").write_text("".join(json.dumps(case) + "\n" for case in cases))
    record = json.loads((place / "run" / "run.json").read_text())
    record["files"]["cases.jsonl"] = sha256(place / "run" / "cases.jsonl")
    (place / "run" / "run.json").write_text(json.dumps(record))
    page_of(place / "run", again=True)
    (place / "run" / "secret.txt").write_text(SECRET)
    (place / "secret.js").write_text(SECRET)
    (place / "run" / "page" / "block-7.js").symlink_to(place / "secret.js")
    for name in ("notes.html", "mine.csv", "page/number-77.js"):
        (place / "run" / name).write_text(SECRET)
    (place / "run" / "linked.html").symlink_to(place / "run" / "secret.txt")
    return place / "run"


@pytest.fixture(scope="module")
def server(run: Path) -> Iterator[PageServer]:
    with served(run) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


def ask(server: PageServer, name: str, method: str = "GET", host: str | None = None, word: str | None = None) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.putrequest(method, f"/{server.word if word is None else word}/{name}", skip_host=True)
    connection.putheader("Host", f"127.0.0.1:{server.port}" if host is None else host)
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return Answer(answer.status, {key.lower(): value for key, value in answer.getheaders()}, body)


@pytest.mark.parametrize("name", ["index.html", "page/run.js", "page/cases.js", "page/model-0.js", "page/block-0.js", "summary.csv", "summary.html"])
def test_the_page_its_parts_and_the_tables_beside_it_are_sent_as_they_are(server: PageServer, run: Path, name: str) -> None:
    whole, head = ask(server, name), ask(server, name, "HEAD")
    assert (whole.status, whole.body) == (200, (run / name).read_bytes())
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", str(len(whole.body)))
    kind = {".html": "text/html", ".js": "text/javascript", ".csv": "text/csv"}[Path(name).suffix]
    assert whole.headers["content-type"] == f"{kind}; charset=utf-8"
    assert whole.headers["cache-control"] == "no-store"
    assert whole.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("name", [*BESIDE, *ELSEWHERE, *NO_IMAGE])
def test_nothing_else_is_sent_by_whatever_way_it_is_named(server: PageServer, name: str) -> None:
    answer = ask(server, name)
    assert answer.status == 404
    assert SECRET.encode() not in answer.body


def test_who_does_not_have_the_word_gets_nothing(server: PageServer) -> None:
    for word in ("", "x", server.word[:-1], server.word + "x", "index.html"):
        assert ask(server, "index.html", word=word).status == 404
    assert len(server.word) >= 32
    assert server.address == f"http://127.0.0.1:{server.port}/{server.word}/index.html"


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1", "", "[::1]:{port}"])
def test_a_foreign_name_that_leads_here_is_refused(server: PageServer, host: str) -> None:
    assert ask(server, "index.html", host=host.format(port=server.port)).status == 403
    assert ask(server, "index.html", host=f"localhost:{server.port}").status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_nothing_but_reading_is_answered(server: PageServer, method: str) -> None:
    assert ask(server, "index.html", method).status == 501


def test_it_listens_on_this_machine_alone(server: PageServer) -> None:
    assert server.server_address[0] == "127.0.0.1"


def test_images_are_read_from_where_they_lie_and_a_missing_one_says_so_without_the_folder(server: PageServer, run: Path) -> None:
    part = ask(server, "page/images.js").body.decode()
    assert '"how":"served"' in part
    assert '"how":"none"' in (run / "page" / "images.js").read_text()
    for _ in range(2):  # read, then remembered
        answer = ask(server, "page/images/0-0.jpg")
        assert (answer.status, answer.headers["content-type"]) == (200, "image/jpeg")
        with Image.open(io.BytesIO(answer.body)) as picture:
            assert (picture.format, picture.size) == ("JPEG", (SERVED_PX, 82))  # 100 * 2048 / 2500 = 81.9
    missing = ask(server, "page/images/1-0.jpg")
    assert (missing.status, missing.body) == (404, b"the file gone.png is missing\n")


def own(run: Path, tmp_path: Path) -> Path:
    """A copy of the run that may be damaged."""
    return Path(shutil.copytree(run, tmp_path / "run", symlinks=True))


@contextmanager
def serving(run: Path, port: int = 0) -> Iterator[PageServer]:
    with served(run, port) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def test_a_link_in_the_place_of_a_file_is_not_followed(run: Path, tmp_path: Path) -> None:
    run = own(run, tmp_path)
    (run / "page" / "run.js").rename(run / "page" / "elsewhere.js")
    (run / "page" / "run.js").symlink_to(run / "page" / "elsewhere.js")
    with serving(run) as server:
        assert ask(server, "page/run.js").status == 404
        assert ask(server, "page/cases.js").status == 200


def test_what_cannot_be_answered_is_said_and_the_next_is_answered(run: Path, tmp_path: Path) -> None:
    run = own(run, tmp_path)
    (run / "page" / "images.js").write_text("broken")
    with serving(run) as server:
        answer = ask(server, "page/images.js")
        assert (answer.status, answer.body) == (500, b"this could not be answered: NoPart; write the page anew: view RUN --again\n")
        assert ask(server, "page/cases.js").status == 200


def test_a_connection_that_breaks_is_no_news(run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run = own(run, tmp_path)
    (run / "page" / "cases.js").write_bytes(b"x" * 30_000_000)
    with serving(run) as server:
        connection = socket.create_connection(("127.0.0.1", server.port))
        connection.sendall(f"GET /{server.word}/page/cases.js HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode())
        connection.recv(100)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset, as of a browser that was closed
        connection.close()
        assert ask(server, "index.html").status == 200
    assert capfd.readouterr().err == ""


def test_strangers_cannot_take_all_threads(run: Path) -> None:
    with serving(run) as server:
        idle = [socket.create_connection(("127.0.0.1", server.port), timeout=30) for _ in range(MOST_CONNECTIONS)]
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as further:
            assert further.recv(1) == b""  # closed, and no thread for it
        for connection in idle:
            connection.close()
        assert any(_answers(server) for _ in range(200))
    assert STRANGER_SECONDS <= 10


def _answers(server: PageServer) -> bool:
    try:
        return ask(server, "index.html").status == 200
    except (OSError, http.client.HTTPException):
        time.sleep(0.02)
        return False


def test_at_the_port_that_browsers_leave_away_their_host_has_none(run: Path) -> None:
    try:
        with serving(run, 80) as server:
            assert ask(server, "index.html", host="127.0.0.1").status == 200
            assert ask(server, "index.html", host="evil.example").status == 403
    except PortTaken as error:
        pytest.skip(str(error))


def test_the_browser_is_led_to_the_word_by_a_file_of_this_user_alone(run: Path) -> None:
    """A program's arguments can be read by every user of a machine."""
    with redirecting_file("http://127.0.0.1:1/word/index.html", run) as file:
        assert file.parent == run
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert "url=http://127.0.0.1:1/word/index.html" in file.read_text()
    assert not file.exists()


def test_a_port_that_is_taken_is_said_in_words(run: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with (
            pytest.raises(PortTaken, match=rf"--port {port} was asked, and another program has it; name another, or leave --port away"),
            served(run, port),
        ):
            pass


def _listen() -> None:
    """The tests may run under nohup, whose children are deaf to this signal."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_whatever_ends_it_is_no_failure_and_interrupts_nothing(run: Path, tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C, a scheduler, a closed terminal: there is nothing that the same command would go on from."""
    shutil.copytree(run, tmp_path / "run", symlinks=True)
    words = [sys.executable, "-m", "benchmark", "view", "run", "--serve", "--no-browser"]
    with subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=_listen) as process:
        assert process.stdout is not None
        said = ""
        while "http://" not in said:
            line = process.stdout.readline()
            assert line, said
            said += line
        assert re.search(r"http://127\.0\.0\.1:\d+/[\w-]{32}/index\.html", said)
        process.send_signal(number)
        rest, errors = process.communicate(timeout=60)
    assert (process.returncode, rest.strip(), errors) == (0, "the server has ended", "")
