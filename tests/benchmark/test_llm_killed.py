"""kill -9 at ten random moments of a run of 2,000 questions: nothing that was answered is lost, asked again, or comes out otherwise."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from llm_server import Server, serve

from benchmark.llm.cache import AnswerCache

pytest.importorskip("aiohttp")
QUESTIONS = 2_000
IN_FLIGHT = 32
KILLS = 10

RUN = f"""
import json, os, sys
from pathlib import Path
from benchmark.llm.budget import Budget
from benchmark.llm.cache import AnswerCache
from benchmark.llm.client import Client
from benchmark.llm.endpoint import Endpoint
from benchmark.llm.questions import Answered, Question
from benchmark.llm.routes import route_of

url, cache, out, start, count = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5])
endpoint = Endpoint("any", api_base=url, concurrency={IN_FLIGHT}, retries=2)
client = Client(endpoint, route_of(endpoint), cache=AnswerCache(cache), budget=Budget(None))
questions = (Question("label", f"Is finding {{number}} there?", {{"type": "object"}}) for number in range(start, start + count))
with out.open("w") as table:
    for number, outcome in enumerate(client(questions, json.loads), start=start):
        assert isinstance(outcome, Answered), outcome
        table.write(json.dumps({{"question": number, "answer": outcome.value}}) + "\\n")
print(json.dumps(client.record()))
"""


def run(server: Server, cache: Path, out: Path, start: int = 0, count: int = QUESTIONS) -> subprocess.Popen[str]:
    words = [server.url, str(cache), str(out), str(start), str(count)]
    return subprocess.Popen([sys.executable, "-c", RUN, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finished(process: subprocess.Popen[str]) -> dict[str, object]:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    record: dict[str, object] = json.loads(out.splitlines()[-1])
    return record


def answered(cache: Path) -> int:
    return sum(size.answers for size in AnswerCache(cache).sizes())


def arrived(server: Server) -> int:
    return server.log.read_bytes().count(b"\n") if server.log.exists() else 0


def texts_in(cache: Path) -> set[str]:
    return set(AnswerCache(cache).use(lambda database: [bytes(text).decode() for (text,) in database.execute("SELECT text FROM answers")]))


def killed_when(process: subprocess.Popen[str], server: Server, so_many: int, seconds: float) -> None:
    """Kill it a moment after so many questions have arrived, and wait until the server has read what was sent."""
    deadline, here = time.monotonic() + 240, 0
    server.log.touch()
    with server.log.open("rb") as log:  # read on and on: reading it all each time would take the processor from those who are watched
        while here < so_many and process.poll() is None and time.monotonic() < deadline:
            here += log.read().count(b"\n")
            time.sleep(0.002)
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    deadline = time.monotonic() + 240
    while server.in_flight():
        assert time.monotonic() < deadline, "the server does not come to rest"
        time.sleep(0.02)


@pytest.mark.slow
def test_a_run_that_is_killed_ten_times_asks_nothing_twice_that_was_answered_and_ends_as_if_undisturbed(tmp_path: Path) -> None:
    draw = random.Random(2_000)
    moments = sorted(draw.sample(range(QUESTIONS), KILLS))
    with serve(tmp_path / "server", latency=0.03) as server:
        finished(run(server, tmp_path / "undisturbed" / "answers.sqlite", tmp_path / "undisturbed.jsonl"))
        by_text = {json.dumps(row["answer"]): f"Is finding {row['question']} there?" for row in lines(tmp_path / "undisturbed.jsonl")}
        assert len(by_text) == QUESTIONS
    in_flight, known = 0, set[str]()
    cache, out = tmp_path / "place" / "answers.sqlite", tmp_path / "table.jsonl"
    with serve(tmp_path / "server", latency=0.03) as server:
        before = 0
        for moment in [*moments, None]:
            process = run(server, cache, out)
            if moment is None:
                finished(process)
            else:
                # Questions that were lost in flight arrive once more: so many more have arrived by then.
                killed_when(process, server, moment + in_flight, draw.uniform(0, 0.05))
            asked = [request["prompt"] for request in server.requests()[before:]]
            before += len(asked)
            assert max(Counter(asked).values(), default=1) == 1, "a question was asked twice by one run"
            assert not known & set(asked), "a question was asked whose answer the cache had"
            known = {by_text[text] for text in texts_in(cache)}
            lost = set(asked) - known
            assert len(lost) <= IN_FLIGHT
            in_flight += len(lost)
        assert not lost
        assert len(known) == answered(cache) == QUESTIONS
        assert len(server.requests()) == QUESTIONS + in_flight
    assert in_flight > 0, "no kill came in the middle of anything"
    assert out.read_bytes() == (tmp_path / "undisturbed.jsonl").read_bytes()


def test_a_second_run_asks_nothing(tmp_path: Path) -> None:
    cache, out = tmp_path / "place" / "answers.sqlite", tmp_path / "table.jsonl"
    with serve(tmp_path / "server") as server:
        assert finished(run(server, cache, out, count=300))["from_cache"] == 0
        first, asked = out.read_bytes(), arrived(server)
        record = finished(run(server, cache, out, count=300))
        assert (record["asked"], record["from_cache"], arrived(server)) == (0, 300, asked)
        assert out.read_bytes() == first
    assert finished(run(server, cache, out, count=300))["from_cache"] == 300, "the endpoint is gone, and nobody needs it"


def test_several_runs_share_one_cache_while_they_run(tmp_path: Path) -> None:
    """Their questions overlap by half: each is answered in each, and after all of them none is missing."""
    cache = tmp_path / "place" / "answers.sqlite"
    with serve(tmp_path / "server", latency=0.02) as server:
        processes = [run(server, cache, tmp_path / f"{start}.jsonl", start, 400) for start in (0, 200, 400)]
        for process in processes:
            finished(process)
        asked = server.asked()
        assert len(asked) == 800
        assert max(asked.values()) <= 2, "at most the two runs that want it at the same time ask the same"
        for start in (0, 200, 400):
            assert [row["question"] for row in lines(tmp_path / f"{start}.jsonl")] == list(range(start, start + 400))
        finished(run(server, cache, tmp_path / "all.jsonl", count=800))
        assert server.asked() == asked
    by_question = {row["question"]: row["answer"] for row in lines(tmp_path / "all.jsonl")}
    for start in (0, 200, 400):
        assert all(by_question[row["question"]] == row["answer"] for row in lines(tmp_path / f"{start}.jsonl"))


def lines(file: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in file.read_text().splitlines()]
