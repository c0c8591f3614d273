"""Batches: what is handed in comes back into the cache, once, whatever happens on the way."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from llm_server import Server, serve

from benchmark.llm.batch import Asked, BatchesInUse, Pauses, fill
from benchmark.llm.batch_wire import BatchServer, NoBatches, Unanswered
from benchmark.llm.budget import Budget, BudgetReached
from benchmark.llm.cache import AnswerCache, Kept, key_of
from benchmark.llm.prices import Price
from benchmark.llm.questions import Failed

pytest.importorskip("aiohttp")
QUICK = Pauses(first=0.02, longest=0.1)
PRICE = Price(1e-6, 2e-6, "as set")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serve(tmp_path / "server") as running:
        yield running


@pytest.fixture
def cache(tmp_path: Path) -> AnswerCache:
    return AnswerCache(tmp_path / "cache" / "answers.sqlite")


def asked(prompt: str, most: float = 0.0) -> Asked:
    messages = [{"role": "user", "content": prompt}]
    body = {"model": "any", "messages": messages, "max_tokens": 100}
    return Asked(key_of("any", {"max_tokens": 100}, messages, None, 0), "label", body, len(prompt), most)


def read(body: Mapping[str, Any]) -> Kept | Failed:
    choice = body["choices"][0]
    if choice["finish_reason"] == "length":
        return Failed("cut short", "at max_tokens")
    usage = body["usage"]
    return Kept(choice["message"]["content"], body["model"], usage["prompt_tokens"], usage["completion_tokens"], None, "", "")


def handed_in(
    prompts: Sequence[str | Asked], server: Server, cache: AnswerCache, budget: Budget | None = None, key: str = "", **more: Any
) -> dict[str, Failed]:
    """Prompt -> failure."""
    import aiohttp

    questions = [asked(one) if isinstance(one, str) else one for one in prompts]
    texts = {one.key: one.body["messages"][0]["content"] for one in questions}

    async def work() -> dict[str, Failed]:
        async with aiohttp.ClientSession() as session:
            wire = BatchServer(session, server.url, key, pause=0.01)
            return await fill(iter(questions), wire, "any", cache, budget or Budget(None), price=PRICE, read=read, pauses=QUICK, **more)

    return {texts.get(one, one): failure for one, failure in asyncio.run(work()).items()}


def answers(prompts: Sequence[str], cache: AnswerCache) -> list[str]:
    """What the cache holds, in order; an empty text where it holds nothing."""
    keys = [asked(prompt).key for prompt in prompts]
    found = cache.get_many(keys)
    return [found[key].text if key in found else "" for key in keys]


def made(server: Server) -> Counter[str]:
    """Prompt -> how often it was worked on, and so paid for."""
    return Counter(request["prompt"] for request in server.requests(path="batch"))


def files_left(server: Server) -> list[str]:
    import urllib.request

    with urllib.request.urlopen(f"{server.url}/files") as answer:
        return [file["filename"] for file in json.load(answer)["data"]]


def recorded(cache: AnswerCache) -> int:
    return int(cache.use(lambda database: database.execute("SELECT count(*) FROM batches").fetchone()[0]))


PROMPTS = [f"Is finding {number} there?" for number in range(25)]


def test_what_is_handed_in_comes_back_into_the_cache(server: Server, cache: AnswerCache) -> None:
    assert handed_in(PROMPTS, server, cache) == {}
    assert all(re.fullmatch(r'\{"answer": "[0-9a-f]{12}"\}', text) for text in answers(PROMPTS, cache))
    kept = cache.get_many([asked(PROMPTS[0]).key])[asked(PROMPTS[0]).key]
    assert (kept.task, kept.model, kept.served_by, kept.prompt_characters) == ("label", "any", "any", len(PROMPTS[0]))
    assert kept.cost == pytest.approx(1e-6 * (len(PROMPTS[0]) // 4) + 2e-6 * (len(kept.text) // 4))


def test_a_question_that_stands_there_twice_is_handed_in_once(server: Server, cache: AnswerCache) -> None:
    handed_in([*PROMPTS, *PROMPTS], server, cache)
    assert made(server) == Counter(PROMPTS)


def test_nothing_to_ask_asks_nothing(server: Server, cache: AnswerCache) -> None:
    assert handed_in([], server, cache) == {}
    assert server.requests(path="/v1/batches") == []


LINE = len(json.dumps({"custom_id": "0" * 64, "method": "POST", "url": "/v1/chat/completions", "body": asked(PROMPTS[10]).body}) + "\n")


@pytest.mark.parametrize(("limits", "batches"), [({"most_requests": 10}, 3), ({"most_bytes": 5 * LINE}, 5), ({"most_bytes": 1}, 25)])
def test_files_are_as_large_as_the_endpoint_takes_and_no_larger(server: Server, cache: AnswerCache, limits: dict[str, int], batches: int) -> None:
    assert handed_in(PROMPTS, server, cache, **limits) == {}
    assert len(submitted(server)) == batches
    assert made(server) == Counter(PROMPTS)


def test_requests_are_taken_away_from_the_endpoint_once_they_are_answered(server: Server, cache: AnswerCache) -> None:
    """They quote reports."""
    handed_in(PROMPTS, server, cache, most_requests=10)
    assert files_left(server) == []
    assert recorded(cache) == 0
    assert [file.name for file in cache.file.parent.iterdir() if "answers.sqlite" not in file.name] == []


def submitted(server: Server) -> list[dict[str, Any]]:
    return [request for request in server.requests(path="/v1/batches") if request["body"]]


@pytest.mark.parametrize(
    ("order", "kind", "what"),
    [
        ("400 code=context_length_exceeded", "rejected", "in a batch: status 400 context_length_exceeded"),
        ("429", "rate limit", "in a batch: status 429 some_error"),
        ("500", "server error", "in a batch: status 500 some_error"),
        ("length", "cut short", "at max_tokens"),
        ("batch-expired", "timeout", "in a batch: batch_expired"),
        ("batch-cancelled", "server error", "in a batch: batch_cancelled"),
        ("batch-missing", "empty", "the batch came back without an answer to it"),
    ],
)
def test_a_question_without_an_answer_fails_by_its_kind_and_the_others_are_kept(
    server: Server, cache: AnswerCache, order: str, kind: str, what: str
) -> None:
    unlucky = f"{{{{{order}}}}} Is the heart large?"
    assert handed_in([*PROMPTS, unlucky], server, cache) == {unlucky: Failed(kind, what)}  # type: ignore[arg-type]
    assert all(answers(PROMPTS, cache))
    assert answers([unlucky], cache) == [""]


def test_a_batch_that_is_turned_down_fails_all_its_questions(server: Server, cache: AnswerCache) -> None:
    unlucky = "{{batch-failed code=invalid_json_line}} Is the heart large?"
    failures = handed_in([*PROMPTS, unlucky], server, cache)
    assert failures == dict.fromkeys([*PROMPTS, unlucky], Failed("rejected", "the endpoint turned the whole batch down: invalid_json_line"))


def test_a_batch_for_which_the_queue_is_full_is_handed_in_again(server: Server, cache: AnswerCache) -> None:
    waiting = "{{batch-failed code=token_limit_exceeded times=2}} Is the heart large?"
    assert handed_in([*PROMPTS, waiting], server, cache) == {}
    assert all(answers([*PROMPTS, waiting], cache))
    assert len(submitted(server)) == 3
    assert made(server) == Counter([*PROMPTS, waiting])


def test_a_queue_that_stays_full_is_a_failure(server: Server, cache: AnswerCache) -> None:
    unlucky = "{{batch-failed code=token_limit_exceeded}} Is the heart large?"
    assert handed_in([unlucky], server, cache)[unlucky].kind == "rate limit"


def test_a_batch_that_was_taken_without_a_word_is_not_handed_in_twice(server: Server, cache: AnswerCache) -> None:
    """The connection was cut after the endpoint had begun to work, and to charge."""
    unheard = "{{batch-unheard times=1}} Is the heart large?"
    assert handed_in([*PROMPTS, unheard], server, cache, most_requests=6) == {}
    assert made(server) == Counter([*PROMPTS, unheard])
    assert all(answers([*PROMPTS, unheard], cache))


def test_answers_that_break_off_are_fetched_again(server: Server, cache: AnswerCache, capsys: pytest.CaptureFixture[str]) -> None:
    """And paid for once, by this command."""
    cut = "{{batch-cut times=2}} Is the heart large?"
    budget = Budget(None)
    assert handed_in([*PROMPTS, cut], server, cache, budget) == {}
    assert all(answers([*PROMPTS, cut], cache))
    assert [row.calls for row in budget.rows()] == [len(PROMPTS) + 1]
    assert "spent by an earlier command" not in capsys.readouterr().err


def test_an_answer_that_cannot_be_read_is_one_question_without_one(server: Server, cache: AnswerCache) -> None:
    """Those behind it in the file were paid for, too."""
    unlucky = "{{batch-unreadable}} Is the heart large?"
    failures = handed_in([*PROMPTS[:5], unlucky, *PROMPTS[5:]], server, cache)
    assert failures == {unlucky: Failed("server error", "in a batch: a line of its answers is no JSON object")}
    assert all(answers(PROMPTS, cache))
    assert answers([unlucky], cache) == [""]
    assert files_left(server) == []


def test_of_answers_that_break_off_at_every_try_those_before_are_kept(server: Server, cache: AnswerCache) -> None:
    """The batch stays written down: the same command fetches the rest once its endpoint hands it over."""
    cut = "{{batch-cut times=8}} Is the heart large?"
    with pytest.raises(Unanswered, match="did not hand over all the answers of a batch at 8 tries; run the same command again to fetch the rest"):
        handed_in([*PROMPTS, cut], server, cache)
    held = [bool(text) for text in answers(PROMPTS, cache)]
    assert 5 < sum(held) < len(PROMPTS)
    assert held == sorted(held, reverse=True)
    missing = [prompt for prompt, text in zip([*PROMPTS, cut], answers([*PROMPTS, cut], cache), strict=True) if not text]
    assert handed_in(missing, server, cache) == {}
    assert all(answers([*PROMPTS, cut], cache))
    assert made(server) == Counter([*PROMPTS, cut])


def test_the_budget_bounds_what_is_handed_in(server: Server, cache: AnswerCache) -> None:
    budget = Budget(0.10)
    with pytest.raises(BudgetReached) as reached:
        handed_in([asked(prompt, most=0.01) for prompt in PROMPTS], server, cache, budget)
    assert made(server) == Counter(PROMPTS[:10])
    assert all(answers(PROMPTS[:10], cache))
    assert re.fullmatch(
        r"--budget 0\.1 is reached: \$0\.000\d were spent on 10 calls, the next may cost \$0\.0100, and at least 15 questions wait; "
        r"run the same command again with a larger --budget: nothing that was answered is asked again",
        str(reached.value),
    )
    assert budget.in_flight == 0


def test_an_endpoint_without_batches_is_told(tmp_path: Path, cache: AnswerCache) -> None:
    with serve(tmp_path / "server") as server, pytest.raises(NoBatches, match=r"takes no batches at /files: status 404 .*; ask without --batch"):
        handed_in(PROMPTS, Server(f"{server.url}/elsewhere", server.log, server.process), cache)


def test_two_commands_do_not_hand_in_the_same_questions(server: Server, cache: AnswerCache) -> None:
    from benchmark.llm.batch import _alone

    with _alone(cache.file, server.url, "any"), pytest.raises(BatchesInUse, match="another command waits for the batches of any"):
        handed_in(PROMPTS, server, cache)
    assert submitted(server) == []


KILLED = """
import sys, os, signal
sys.path.insert(0, {tests!r})
from pathlib import Path
from llm_server import Server
import benchmark.llm.batch as batch
from benchmark.llm.cache import AnswerCache
from test_llm_batch import PROMPTS, handed_in
state, when = {state!r}, {when!r}
record = batch._Desk._record
def dying(self, one, new, **more):
    if new == state and when == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    record(self, one, new, **more)
    if new == state and when == "after":
        os.kill(os.getpid(), signal.SIGKILL)
batch._Desk._record = dying
handed_in(PROMPTS, Server({url!r}, Path({log!r}), None), AnswerCache(Path({cache!r})), most_requests=10)
"""


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("state", ["written", "uploaded", "submitted", "collected"])
def test_a_command_killed_at_any_step_is_taken_up_and_nothing_is_paid_twice(server: Server, cache: AnswerCache, state: str, when: str) -> None:
    names = {"tests": str(Path(__file__).parent), "url": server.url, "log": str(server.log), "cache": str(cache.file), "state": state, "when": when}
    killed = subprocess.run([sys.executable, "-c", KILLED.format(**names)], capture_output=True, text=True, timeout=60, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    missing = [prompt for prompt, text in zip(PROMPTS, answers(PROMPTS, cache), strict=True) if not text]
    assert handed_in(missing, server, cache) == {}
    assert all(answers(PROMPTS, cache))
    assert made(server) == Counter(PROMPTS)
    assert files_left(server) == []
    assert recorded(cache) == 0


WAITING = """
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from llm_server import Server
from benchmark.llm.cache import AnswerCache
from test_llm_batch import PROMPTS, handed_in
handed_in(PROMPTS, Server({url!r}, Path({log!r}), None), AnswerCache(Path({cache!r})), most_requests=10)
"""


def test_a_command_killed_while_it_waits_finds_its_batches_again(tmp_path: Path, cache: AnswerCache) -> None:
    with serve(tmp_path / "server", latency=3) as server:
        names = {"tests": str(Path(__file__).parent), "url": server.url, "log": str(server.log), "cache": str(cache.file)}
        waiting = subprocess.Popen([sys.executable, "-c", WAITING.format(**names)], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 240
        while len(submitted(server)) < 3 and time.monotonic() < deadline:
            time.sleep(0.02)
        os.kill(waiting.pid, signal.SIGKILL)
        waiting.wait(timeout=60)
        budget = Budget(0.0)  # what an earlier command handed in is no matter of this one's budget
        assert handed_in(PROMPTS, server, cache, budget) == {}
        assert all(answers(PROMPTS, cache))
        assert made(server) == Counter(PROMPTS)
        assert budget.spent() == 0


def test_a_key_reaches_the_endpoint_and_nothing_else(tmp_path: Path, cache: AnswerCache, capsys: pytest.CaptureFixture[str]) -> None:
    key = "sk-not-to-be-seen-anywhere"
    with serve(tmp_path / "server", key=key) as server:
        assert handed_in(PROMPTS, server, cache, key=key) == {}
        assert {request["authorization"] for request in server.requests(path="/v1/files")} == {f"Bearer {key}"}
    cache.close()
    assert not any(key.encode() in file.read_bytes() for file in cache.file.parent.iterdir())
    assert key not in "".join(capsys.readouterr())
    assert key not in repr(BatchServer(None, "http://127.0.0.1/v1", key))  # type: ignore[arg-type]
