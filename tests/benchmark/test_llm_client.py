"""The client against a server that misbehaves on order: what is asked how often, what becomes of it, and what is said about it."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from llm_server import SCHEMA, Server, serve
from waiting import until

from benchmark.llm.batch import Pauses
from benchmark.llm.budget import Budget, BudgetReached
from benchmark.llm.cache import AnswerCache
from benchmark.llm.client import WINDOW, Client
from benchmark.llm.endpoint import Endpoint
from benchmark.llm.failures import EndpointDown, EndpointRefuses, Refusals
from benchmark.llm.json_answers import read_object
from benchmark.llm.prices import UnknownPrice
from benchmark.llm.questions import Answered, Failed, Question, Unusable
from benchmark.llm.routes import route_of
from benchmark.llm.wire import Call, Trouble
from benchmark.records import UserError

pytest.importorskip("aiohttp")


@pytest.fixture
def cache(tmp_path: Path) -> AnswerCache:
    return AnswerCache(tmp_path / "answers" / "answers.sqlite")


@pytest.fixture
def told_apart(request: pytest.FixtureRequest) -> str:
    """Words that make this test's questions its own."""
    return f"[{request.node.name}]".replace("{", "").replace("}", "")


def client(server: Server, cache: AnswerCache, *, budget: float | None = None, key: str = "", **more: Any) -> Client:
    """Endpoint settings and the client's own, mixed."""
    own = {name: more.pop(name) for name in ("mode", "refresh", "secrets", "may_send", "pauses") if name in more}
    endpoint = Endpoint(**{"model": "phantom-1", "api_base": server.url, "timeout": 5.0, "retries": 2, **more})
    return Client(endpoint, route_of(endpoint), cache=cache, budget=Budget(budget), first_pause=0.02, **own)


def questions(prompts: Sequence[str], schema: dict[str, Any] | None = None) -> list[Question]:
    return [Question("label", prompt, schema) for prompt in prompts]


def answer_of(text: str) -> str:
    """A task's reading: the one field that the schema has."""
    found = read_object(text)
    if set(found) != {"answer"}:
        raise Unusable(f"the keys are {sorted(found)}, they must be answer alone")
    return str(found["answer"])


def times_asked(server: Server, prompt: str) -> int:
    return server.asked()[prompt]


# ---- order, window, cache


def test_outcomes_come_in_order_whichever_answer_came_first(server: Server, cache: AnswerCache, told_apart: str) -> None:
    prompts = [f"{{{{slow {seconds}}}}} {told_apart}" for seconds in (0.3, 0.2, 0.1, 0)]
    outcomes = list(client(server, cache)(questions(prompts), str))
    keys = [outcome.text for outcome in outcomes if isinstance(outcome, Answered)]
    assert keys == [outcome.text for outcome in client(server, cache)(questions(prompts), str) if isinstance(outcome, Answered)]
    assert len(set(keys)) == 4


def test_identical_questions_are_asked_once_in_flight_and_after(server: Server, cache: AnswerCache, told_apart: str) -> None:
    """The second caller joins the flight of the first, and neither has the answer from the cache."""
    prompt = f"{{{{slow 2}}}} {told_apart}"
    ask = client(server, cache)
    outcomes: list[Answered[str] | Failed] = []
    first = threading.Thread(target=lambda: outcomes.extend(ask(questions([prompt] * 3), str)))
    first.start()
    until(lambda: times_asked(server, prompt) == 1)
    outcomes += ask(questions([prompt] * 2), str)
    first.join(timeout=60)
    assert len(outcomes) == 5
    assert [outcome.is_cached for outcome in outcomes if isinstance(outcome, Answered)] == [False] * 5
    assert len(set(outcomes)) == 1
    assert [outcome.is_cached for outcome in ask(questions([prompt]), str) if isinstance(outcome, Answered)] == [True]
    assert times_asked(server, prompt) == 1


def test_questions_are_taken_as_they_are_needed(server: Server, cache: AnswerCache, told_apart: str) -> None:
    taken = 0

    def endless() -> Iterator[Question]:
        nonlocal taken
        while True:
            taken += 1
            yield Question("label", f"{told_apart} {taken}")

    outcomes = client(server, cache)(endless(), str)
    for number in range(1, 600):
        next(outcomes)
        assert taken <= WINDOW + number
    outcomes.close()


def test_a_second_run_asks_nothing_and_says_so(server: Server, cache: AnswerCache, told_apart: str) -> None:
    prompts = [f"{told_apart} {number}" for number in range(20)]
    first = client(server, cache)
    outcomes = list(first(questions(prompts, SCHEMA), answer_of))
    asked = sum(len(prompt) // 4 for prompt in prompts)  # as the server counts
    answered = sum(len(outcome.text) // 4 for outcome in outcomes if isinstance(outcome, Answered))
    assert first.line() == f"20 asked, 0 from cache, {asked:,} tokens in, {answered:,} out, $0.00"
    assert first.record()["tokens"] == {"prompt": asked, "completion": answered}
    before = len(server.requests())
    again = client(server, cache)
    repeated = list(again(questions(prompts, SCHEMA), answer_of))
    assert len(server.requests()) == before
    assert [outcome.value for outcome in repeated] == [outcome.value for outcome in outcomes]  # type: ignore[union-attr]
    assert all(outcome.is_cached for outcome in repeated if isinstance(outcome, Answered))
    assert again.line() == "0 asked, 20 from cache"


def test_a_cached_run_needs_no_server_no_key_and_no_http(server: Server, cache: AnswerCache, told_apart: str) -> None:
    """Scoring on a cluster without network must work, and start at once."""
    list(client(server, cache)(questions([told_apart]), str))
    code = f"""
import sys
from pathlib import Path
from benchmark.llm.budget import Budget
from benchmark.llm.cache import AnswerCache
from benchmark.llm.client import Client
from benchmark.llm.endpoint import Endpoint
from benchmark.llm.questions import Question
from benchmark.llm.routes import route_of
def refuse(): raise SystemExit("asked whether it may send")
endpoint = Endpoint("phantom-1", api_base="http://127.0.0.1:9/v1", timeout=5.0, retries=2)
ask = Client(endpoint, route_of(endpoint), cache=AnswerCache(Path({str(cache.file)!r})), budget=Budget(None), may_send=refuse)
print(len(list(ask([Question("label", {told_apart!r})], str))), [name for name in ("aiohttp", "litellm", "openai", "httpx") if name in sys.modules])
"""
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert answer.stdout.strip() == "1 []", answer.stderr


def test_refresh_asks_anew_and_once(server: Server, cache: AnswerCache, told_apart: str) -> None:
    list(client(server, cache)(questions([told_apart]), str))
    ask = client(server, cache, refresh=True)
    assert len([*ask(questions([told_apart] * 2), str), *ask(questions([told_apart]), str)]) == 3
    assert times_asked(server, told_apart) == 2


def test_several_samples_are_several_questions_and_a_seed_differs_between_them(server: Server, cache: AnswerCache, told_apart: str) -> None:
    ask = client(server, cache, seed=7)
    list(ask([Question("judge", told_apart, sample=number) for number in range(3)], str))
    assert sorted(request["body"]["seed"] for request in server.requests() if request["prompt"] == told_apart) == [7, 8, 9]


def test_what_decides_an_answer_stands_in_the_signature(server: Server, cache: AnswerCache) -> None:
    assert client(server, cache, seed=3).signature() == "phantom-1|temperature:0|seed:3|max_tokens:2048"


def test_no_question_is_no_outcome(server: Server, cache: AnswerCache) -> None:
    assert list(client(server, cache)([], str)) == []


# ---- what passes


@pytest.mark.parametrize(
    ("order", "cause"),
    [
        ("429 times=2", "rate limit"),
        ("429 times=2 retry-after=0.05", "rate limit"),
        ("408 times=2", "timeout"),
        ("409 times=2", "server error"),
        ("500 times=2", "server error"),
        ("502 times=2", "server error"),
        ("503 times=2", "server error"),
        ("504 times=2", "server error"),
        ("520 times=2", "server error"),
        ("522 times=2", "server error"),
        ("526 times=2", "server error"),
        ("529 times=2", "server error"),
        ("half times=2", "server error"),
        ("html times=2", "server error"),
        ("cut times=2", "unreachable"),
        ("cut before times=2", "unreachable"),
        ("empty choices times=2", "empty"),
        ("empty text times=2", "empty"),
    ],
)
def test_what_may_pass_is_tried_again_and_counted_by_its_cause(server: Server, cache: AnswerCache, told_apart: str, order: str, cause: str) -> None:
    prompt = f"{{{{{order}}}}} {told_apart}"
    ask = client(server, cache)
    (outcome,) = ask(questions([prompt]), str)
    assert isinstance(outcome, Answered)
    assert times_asked(server, prompt) == 3
    assert ask.tally.retried == {cause: 2}
    assert f"2 retried ({cause} 2)" in ask.line()


@pytest.mark.parametrize(
    ("order", "kind", "said"),
    [
        ("429", "rate limit", "429"),
        ("500", "server error", "error 500"),
        ("half", "server error", "half of it"),
        ("cut", "unreachable", "cut in the middle"),
        ("empty choices", "empty", "without text"),
        ("slow 2", "timeout", "within 0.2 s"),
        ("drip 2", "timeout", "within 0.2 s"),
    ],
)
def test_what_does_not_pass_is_a_failure_of_its_kind(server: Server, cache: AnswerCache, told_apart: str, order: str, kind: str, said: str) -> None:
    prompt = f"{{{{{order}}}}} {told_apart}"
    timeout = 0.2 if kind == "timeout" else 30.0
    well = client(server, cache)(questions([f"{told_apart} well"]), str)
    outcomes = [*client(server, cache, retries=1, timeout=timeout)(questions([prompt]), str), *well]
    assert isinstance(outcomes[0], Failed)
    assert (outcomes[0].kind, times_asked(server, prompt)) == (kind, 2)
    assert said in outcomes[0].what
    assert "tried 2 times" in outcomes[0].what
    assert isinstance(outcomes[1], Answered)


def test_who_waits_for_a_slow_server_is_told_once_what_would_help(
    server: Server, cache: AnswerCache, told_apart: str, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts = [f"{{{{slow 2}}}} {told_apart} {number}" for number in range(3)]
    outcomes = list(client(server, cache, retries=2, timeout=0.2)(questions(prompts), str))
    assert [isinstance(outcome, Failed) for outcome in outcomes] == [True] * 3
    assert capsys.readouterr().err.count("a slow server is given more by --set llm.timeout=2, or fewer questions at once: llm.concurrency") == 1


def test_a_failure_is_asked_again_by_the_next_run(server: Server, cache: AnswerCache, told_apart: str) -> None:
    prompt = f"{{{{500 times=1}}}} {told_apart}"
    assert [type(outcome) for outcome in client(server, cache, retries=0)(questions([prompt]), str)] == [Failed]
    assert [type(outcome) for outcome in client(server, cache, retries=0)(questions([prompt]), str)] == [Answered]


def test_everybody_waits_as_long_as_the_endpoint_asks(tmp_path: Path, cache: AnswerCache) -> None:
    """A 429 is about the endpoint: the others in flight would meet it too."""
    with serve(tmp_path, orders=["429 times=1 retry-after=0.5"]) as server:
        ask = client(server, cache, concurrency=1)
        list(ask(questions(["one", "two", "three"]), str))
        came = [request["at"] for request in server.requests()]
    assert len(came) == 4
    assert came[1] - came[0] >= 0.5


def test_an_endpoint_that_asks_to_wait_for_an_hour_is_not_waited_for(server: Server, cache: AnswerCache, told_apart: str) -> None:
    (outcome,) = client(server, cache)(questions([f"{{{{429 retry-after=3600}}}} {told_apart}"]), str)
    assert isinstance(outcome, Failed)
    assert (outcome.kind, outcome.what) == ("rate limit", "it asks to wait 3,600 s, which is not waited for: 429 (some_error: error 429)")


def test_requests_per_minute_are_spread_evenly(tmp_path: Path, cache: AnswerCache) -> None:
    with serve(tmp_path) as server:
        begun = time.time()  # the first may be late itself
        list(client(server, cache, requests_per_minute=600)(questions([str(number) for number in range(16)]), str))
        came = [request["at"] for request in server.requests()]
    assert came[15] - begun >= 0.59  # ten at once, as one second has, then one each tenth


def test_tokens_per_minute_count_what_answers_took(tmp_path: Path, cache: AnswerCache) -> None:
    with serve(tmp_path) as server:
        begun = time.time()
        ask = client(server, cache, tokens_per_minute=60_000, max_tokens=10)
        list(ask(questions([f"{number} " + "word " * 800 for number in range(4)]), str))  # about 1,000 tokens each: one a second
        came = [request["at"] for request in server.requests()]
    assert came[2] - begun >= 0.9


# ---- what does not pass


def test_a_question_that_is_too_long_fails_alone(server: Server, cache: AnswerCache, told_apart: str) -> None:
    prompt = f'{{{{400 code=context_length_exceeded message="maximum context length is 8192 tokens"}}}} {told_apart}'
    outcomes = list(client(server, cache)(questions([prompt, told_apart], SCHEMA), answer_of))
    assert isinstance(outcomes[0], Failed)
    assert (outcomes[0].kind, times_asked(server, prompt)) == ("rejected", 1)
    assert outcomes[0].what.startswith("it says that the question is too long: 400 (context_length_exceeded")
    assert isinstance(outcomes[1], Answered)


@pytest.mark.parametrize(
    ("order", "said"),
    [
        ("401", "it wants a key; set"),
        ("403", "it wants a key; set"),
        ("404 code=model_not_found", "there is no model 'phantom-1'"),
        ("402", "no credit left"),
        ("429 code=insufficient_quota", "no credit left"),
        ("400 param=temperature code=unsupported_value", "leave it out with --set llm.temperature=none"),
        ("405", "mostly ends in /v1"),
    ],
)
def test_where_asking_on_is_pointless_nobody_is_asked(server: Server, cache: AnswerCache, told_apart: str, order: str, said: str) -> None:
    ask = client(server, cache, concurrency=1)
    later = f"{told_apart} later"
    with pytest.raises(EndpointRefuses) as refused:
        list(ask(questions([f"{{{{{order}}}}} {told_apart}", later]), str))
    message = str(refused.value)
    assert message.startswith("asked phantom-1 at 127.0.0.1:")
    assert said in message
    assert message.endswith("then run the same command again: nothing that was answered is asked again")
    assert times_asked(server, later) == 0


def test_a_model_that_the_server_has_not_is_named(tmp_path: Path, cache: AnswerCache) -> None:
    with serve(tmp_path, models="qwen,llama") as server, pytest.raises(EndpointRefuses, match=r"there is no model 'phantom-1'"):
        list(client(server, cache)(questions(["one"]), str))


def test_a_host_that_does_not_exist_is_said_at_once(cache: AnswerCache) -> None:
    endpoint = Endpoint("phantom-1", api_base="http://nowhere.invalid/v1")
    try:
        socket.getaddrinfo("nowhere.invalid", 80)
    except socket.gaierror as error:
        if error.errno != socket.EAI_NONAME:
            pytest.skip("no name server says whether a host exists")
    with pytest.raises(EndpointRefuses, match=r"there is no host 'nowhere\.invalid'; mind the URL"):
        list(Client(endpoint, route_of(endpoint), cache=cache, budget=Budget(None))(questions(["one"]), str))


def test_a_redirect_is_not_followed_and_the_other_host_hears_nothing(tmp_path: Path, server: Server, cache: AnswerCache) -> None:
    with serve(tmp_path) as other:
        prompt = f"{{{{redirect {other.url}/chat/completions}}}} the report"
        with pytest.raises(EndpointRefuses, match=r"sends questions on to http://127\.0\.0\.1, which is not followed; if they may go there"):
            list(client(server, cache)(questions([prompt]), str))
        assert other.requests() == []


def test_a_server_that_is_not_there_is_given_up_after_thirty_questions(cache: AnswerCache) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        endpoint = Endpoint("phantom-1", api_base=f"http://127.0.0.1:{taken.getsockname()[1]}/v1", retries=1)
        ask = Client(endpoint, route_of(endpoint), cache=cache, budget=Budget(None), first_pause=0.01)
        outcomes = ask(questions([str(number) for number in range(100)]), str)
        with pytest.raises(EndpointDown, match=r"30 questions in a row have no answer, the last because: no connection .*; see to the endpoint"):
            list(outcomes)


def test_many_questions_that_are_too_long_do_not_bring_the_endpoint_down(server: Server, cache: AnswerCache, told_apart: str) -> None:
    """A resumed run asks those again that failed, and they may be all that is left."""
    prompts = [f'{{{{400 message="context length exceeded"}}}} {told_apart} {number}' for number in range(40)]
    outcomes = list(client(server, cache)(questions(prompts), str))
    assert {outcome.kind for outcome in outcomes if isinstance(outcome, Failed)} == {"rejected"}
    assert len(outcomes) == 40


def test_what_came_before_a_refusal_is_kept(tmp_path: Path, cache: AnswerCache) -> None:
    with serve(tmp_path) as server:
        ask = client(server, cache, concurrency=1)
        outcomes = ask(questions(["one", "two", "{{401}} three", "four"]), str)
        assert isinstance(next(outcomes), Answered)
        until(lambda: len(server.requests()) == 3)
        time.sleep(0.2)  # by now the refusal is there, and the second answer is told before it
        assert isinstance(next(outcomes), Answered)
        with pytest.raises(EndpointRefuses):
            next(outcomes)
        list(client(server, cache)(questions(["one", "two", "four"]), str))
        assert server.asked() == {"one": 1, "two": 1, "{{401}} three": 1, "four": 1}


@pytest.mark.parametrize(
    ("order", "expected"),
    [("402", EndpointRefuses), ("429 code=insufficient_quota", EndpointRefuses), ("500", EndpointDown)],
)
def test_what_was_sent_before_a_refusal_is_kept_and_what_waits_is_not_sent(
    tmp_path: Path, cache: AnswerCache, monkeypatch: pytest.MonkeyPatch, order: str, expected: type[UserError]
) -> None:
    """It is paid for. Both callers hear of the refusal, once what was sent is back."""
    monkeypatch.setattr("benchmark.llm.flights.IN_A_ROW", 1)
    sent, waiting = ["{{slow 2}} one", "{{slow 2}} two"], ["four", "five"]
    with serve(tmp_path, latency=1.0) as server:
        ask = client(server, cache, concurrency=3, retries=0, timeout=30.0)
        heard: list[type[BaseException]] = []

        def first() -> None:
            with pytest.raises(expected) as refused:
                list(ask(questions([*sent, f"{{{{{order}}}}} refused", *waiting]), str))
            heard.append(refused.type)

        asking = threading.Thread(target=first)
        asking.start()
        until(lambda: len(server.requests()) == 3)
        with pytest.raises(expected):
            list(ask(questions([*sent, "five"]), str))
        asking.join(timeout=60)
        assert heard == [expected]
        entries = ask.keyed(questions([*sent, *waiting]))
        kept = cache.get_many([entry.key for entry in entries])
        assert [entry.key in kept for entry in entries] == [True, True, False, False]
        assert not set(waiting) & set(server.asked())
        assert ask.budget.in_flight == 0
        assert [type(outcome) for outcome in ask(questions(waiting), str)] == [Answered, Answered], "the next question is asked as ever"


# ---- structured answers


def test_json_is_asked_for_by_schema(server: Server, cache: AnswerCache, told_apart: str) -> None:
    list(client(server, cache)(questions([told_apart], SCHEMA), answer_of))
    (request,) = (request for request in server.requests() if request["prompt"] == told_apart)
    assert request["body"]["response_format"] == {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True}}


@pytest.mark.parametrize(("formats", "found"), [("json_object", "json_object"), ("none", None)])
def test_an_endpoint_that_takes_no_schema_is_asked_otherwise_and_that_is_remembered(
    tmp_path: Path, cache: AnswerCache, formats: str, found: str | None
) -> None:
    with serve(tmp_path, formats=formats) as server:
        ask = client(server, cache)
        outcomes = [outcome for prompt in ("one", "two", "three") for outcome in ask(questions([prompt], SCHEMA), answer_of)]
        forms = [request["response_format"] for request in server.requests()]
    assert all(isinstance(outcome, Answered) for outcome in outcomes)
    tried = ["json_schema", "json_object", None]
    assert forms == [*tried[: tried.index(found) + 1], found, found]


def test_an_endpoint_that_refuses_a_schema_without_saying_so_is_asked_otherwise(tmp_path: Path, cache: AnswerCache) -> None:
    """The first answer tells which manner it was."""
    with serve(tmp_path, orders=["400 times=2"]) as server:
        ask = client(server, cache)
        outcomes = [outcome for prompt in ("one", "{{400}} two") for outcome in ask(questions([prompt], SCHEMA), answer_of)]
        forms = [request["response_format"] for request in server.requests()]
    assert forms == ["json_schema", "json_object", None, None]
    assert [type(outcome) for outcome in outcomes] == [Answered, Failed]


@pytest.mark.parametrize("order", ["prose", "fenced"])
def test_json_between_words_needs_no_second_question(server: Server, cache: AnswerCache, told_apart: str, order: str) -> None:
    prompt = f"{{{{{order}}}}} {told_apart}"
    (outcome,) = client(server, cache)(questions([prompt], SCHEMA), answer_of)
    assert isinstance(outcome, Answered)
    assert times_asked(server, prompt) == 1


@pytest.mark.parametrize("order", ["wrong-schema times=1", "refusal text times=1"])
def test_an_unusable_answer_is_asked_to_be_mended(server: Server, cache: AnswerCache, told_apart: str, order: str) -> None:
    prompt = f"{{{{{order}}}}} {told_apart}"
    ask = client(server, cache)
    (outcome,) = ask(questions([prompt], SCHEMA), answer_of)
    assert isinstance(outcome, Answered)
    first, second = (request["body"]["messages"] for request in server.requests() if request["prompt"] == prompt)
    assert second[:1] == first
    assert [message["role"] for message in second] == ["user", "assistant", "user"]
    assert second[2]["content"].startswith("That answer cannot be used: the ")
    assert ask.line().startswith("1 asked, 0 from cache, 1 mended, ")


def test_what_cannot_be_mended_is_a_failure_and_is_not_paid_for_again(server: Server, cache: AnswerCache, told_apart: str) -> None:
    prompt = f"{{{{wrong-schema}}}} {told_apart}"
    outcomes = [list(client(server, cache)(questions([prompt], SCHEMA), answer_of)) for _ in range(2)]
    assert outcomes[0] == outcomes[1] == [Failed("unusable", "the keys are ['something'], they must be answer alone")]
    assert times_asked(server, prompt) == 2


@pytest.mark.parametrize(
    ("order", "kind"), [("refusal", "refused"), ("filter", "refused"), ("length", "cut short"), ("400 code=content_filter", "refused")]
)
def test_a_refusal_and_half_an_answer_are_failures_and_never_read(server: Server, cache: AnswerCache, told_apart: str, order: str, kind: str) -> None:
    prompt = f"{{{{{order}}}}} {told_apart}"
    (outcome,) = client(server, cache)(questions([prompt]), str)
    assert isinstance(outcome, Failed)
    assert (outcome.kind, times_asked(server, prompt)) == (kind, 1)


def test_newer_models_are_told_their_limit_by_its_newer_name(tmp_path: Path, cache: AnswerCache) -> None:
    refusal = "400 times=1 param=max_tokens message=\"Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.\""
    with serve(tmp_path, orders=[refusal]) as server:
        outcomes = list(client(server, cache, concurrency=1)(questions(["one", "two"]), str))
        names = [[name for name in request["body"] if name.startswith("max")] for request in server.requests()]
    assert all(isinstance(outcome, Answered) for outcome in outcomes)
    assert names == [["max_tokens"], ["max_completion_tokens"], ["max_completion_tokens"]]


def test_a_task_that_fails_itself_is_a_traceback_and_not_an_outcome(server: Server, cache: AnswerCache, told_apart: str) -> None:
    def broken(text: str) -> str:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(client(server, cache)(questions([told_apart]), broken))


# ---- what is counted


def test_another_model_than_was_asked_is_counted(server: Server, cache: AnswerCache, told_apart: str) -> None:
    prompts = [f"{{{{served {name}}}}} {told_apart}" for name in ("phantom-1-2025-04-14", "vendor/phantom-1", "phantom-1-mini", "gpt-2")]
    ask = client(server, cache)
    list(ask(questions(prompts), str))
    assert ask.counts.served == {"phantom-1-mini": 1, "gpt-2": 1}
    assert "answered by another model than was asked (phantom-1-mini 1, gpt-2 1)" in ask.line()
    again = client(server, cache)
    list(again(questions(prompts), str))
    assert again.record()["served_by"] == {"phantom-1-mini": 1, "gpt-2": 1}


def test_tokens_are_counted_where_the_endpoint_does_not(server: Server, cache: AnswerCache, told_apart: str) -> None:
    ask = client(server, cache, input_price=1e6, output_price=0)
    list(ask(questions([f"{{{{no-usage}}}} {told_apart} {'x' * 400}"]), str))
    assert ask.record()["tokens_estimated"] == 1
    (row,) = ask.budget.rows()
    assert 100 <= row.prompt_tokens <= 130
    assert ask.record()["dollars"] == row.prompt_tokens


def test_a_budget_is_not_crossed_and_the_next_run_goes_on(tmp_path: Path, cache: AnswerCache) -> None:
    prompts = [f"question {number}" for number in range(40)]
    with serve(tmp_path, latency=0.02) as server:
        ask = client(server, cache, budget=0.0015, input_price=1, output_price=10, max_tokens=20)
        with pytest.raises(BudgetReached, match=r"--budget 0\.0015 is reached"):
            list(ask(questions(prompts), str))
        assert 0 < ask.budget.spent() <= 0.0015
        answered = len(cache.get_many([entry.key for entry in ask.keyed(questions(prompts))]))
        assert 1 < answered < 40
        rest = client(server, cache, input_price=1, output_price=10, max_tokens=20)
        assert all(isinstance(outcome, Answered) for outcome in rest(questions(prompts), str))
        assert rest.counts.cached == answered
        assert set(server.asked().values()) == {1}


@pytest.mark.parametrize("order", ["slow 60", "cut", "cut before"])
def test_answers_that_may_have_been_written_unheard_do_not_lead_across_the_budget(tmp_path: Path, cache: AnswerCache, order: str) -> None:
    """A hundred tokens out at a dollar each: the endpoint charges them, whether we wait for them or not."""
    with serve(tmp_path) as server:
        prompts = [f"{{{{{order}}}}} {number}" for number in range(10)]
        seconds = 1.0 if order == "slow 60" else 60.0
        ask = client(server, cache, budget=350, input_price=0, output_price=1e6, max_tokens=100, timeout=seconds, retries=1)
        with pytest.raises(BudgetReached, match=r"--budget 350 is reached: \$300\.00 were spent on 3 calls"):
            list(ask(questions(prompts), str))
        assert len(server.requests()) == 3
    assert ask.record()["dollars"] == ask.budget.spent() == 300


def test_who_asks_everything_anew_is_told_to_go_on_otherwise(server: Server, cache: AnswerCache, told_apart: str) -> None:
    """The same command would pay for all of it once more."""
    do = r"without --refresh, which asks everything anew: so nothing that was answered is asked again"
    with pytest.raises(EndpointRefuses, match=f"then run the same command again {do}"):
        list(client(server, cache, refresh=True)(questions([f"{{{{402}}}} {told_apart}"]), str))
    prompts = [f"{told_apart} {number}" for number in range(4)]
    for mode in ("ask", "batch"):
        quick = Pauses(first=0.02, longest=0.05)
        ask = client(server, cache, refresh=True, mode=mode, pauses=quick, budget=110, input_price=0, output_price=1e6, max_tokens=100)
        with pytest.raises(BudgetReached, match=f"with a larger --budget and {do}"):
            list(ask(questions(prompts), str))


def test_a_budget_for_a_model_without_a_price_is_refused_before_anything_is_sent(server: Server, cache: AnswerCache, told_apart: str) -> None:
    with pytest.raises(UnknownPrice):
        list(client(server, cache, budget=1.0, input_price=1)(questions([told_apart]), str))
    assert times_asked(server, told_apart) == 0


def test_an_estimate_asks_nothing_and_counts_each_question_once(server: Server, cache: AnswerCache, told_apart: str) -> None:
    list(client(server, cache)(questions([f"{told_apart} known"]), str))
    before = len(server.requests())
    ask = client(server, cache, mode="estimate", may_send=lambda: pytest.fail("nothing is to be sent"))
    outcomes = list(ask(questions([f"{told_apart} known", f"{told_apart} new", f"{told_apart} new"]), str))
    assert [type(outcome) for outcome in outcomes] == [Answered, Failed, Failed]
    (expected,) = ask.expected()
    assert (expected.calls, expected.cached) == (1, 1)
    assert len(server.requests()) == before


def test_batches_bring_the_same_answers_as_asking(tmp_path: Path, cache: AnswerCache) -> None:
    prompts = ["one", "{{wrong-schema times=1}} two", "{{refusal}} three", "one"]
    with serve(tmp_path / "batch") as server:
        ask = client(server, cache, mode="batch", pauses=Pauses(first=0.02, longest=0.05), input_price=1, output_price=1)
        outcomes = list(ask(questions(prompts, SCHEMA), answer_of))
        assert server.requests() == []  # none by the direct way
        assert ask.line().startswith("4 asked, 0 from cache, 1 mended, 1 failed (refused 1), 60 tokens in, 27 out, $4e-05")
        assert ask.record()["tokens"] == {"prompt": 60, "completion": 27}
        again = client(server, cache, mode="batch", pauses=Pauses(first=0.02, longest=0.05))
        assert [type(outcome) for outcome in again(questions(prompts[:2], SCHEMA), answer_of)] == [Answered, Answered]
        assert again.line() == "0 asked, 2 from cache, 1 mended"
    with serve(tmp_path / "direct") as server:
        direct = list(client(server, AnswerCache(tmp_path / "other" / "a.sqlite"))(questions(prompts, SCHEMA), answer_of))
    assert [getattr(outcome, "value", None) for outcome in outcomes] == [getattr(outcome, "value", None) for outcome in direct]


def test_an_old_answer_does_not_pass_for_a_new_one_where_a_batch_brought_none(tmp_path: Path, cache: AnswerCache) -> None:
    prompts = ["one", "{{batch-missing}} two"]
    with serve(tmp_path) as server:
        assert [type(outcome) for outcome in client(server, cache)(questions(prompts), str)] == [Answered, Answered]
        ask = client(server, cache, mode="batch", refresh=True, pauses=Pauses(first=0.02, longest=0.05))
        outcomes = list(ask(questions(prompts), str))
    assert [type(outcome) for outcome in outcomes] == [Answered, Failed]
    assert ask.counts.failed == {"empty": 1}


@pytest.mark.parametrize("usage", ["[1]", '"many"', '{"prompt_tokens": "many", "completion_tokens": null}'])
def test_a_count_of_tokens_in_another_form_is_none(server: Server, cache: AnswerCache, told_apart: str, usage: str) -> None:
    prompt = f"{{{{usage '{usage}'}}}} {told_apart}"
    ask = client(server, cache)
    batch = client(server, cache, refresh=True, mode="batch", pauses=Pauses(first=0.02, longest=0.05))
    outcomes = [*ask(questions([prompt]), str), *batch(questions([prompt]), str)]
    assert [type(outcome) for outcome in outcomes] == [Answered, Answered]
    assert ask.record()["tokens_estimated"] == 1


@pytest.mark.parametrize("status", [401, 404, 405, 409, 413, 418, 500, 501, 526])
def test_only_a_status_that_says_so_may_be_about_the_form_of_the_answer(status: int) -> None:
    endpoint = Endpoint("phantom-1", api_base="http://127.0.0.1:9/v1")
    refusals = Refusals(endpoint, route_of(endpoint), [])
    call = Call("label", ({"role": "user", "content": "one"},), SCHEMA, 0)
    found = refusals.of_status(status, {}, "response_format is not known here", call)
    assert not getattr(found, "may_be_format", False)
    assert getattr(found, "may_pass", False) is (status == 409 or status >= 500)
    for other in (400, 422):
        trouble = refusals.of_status(other, {}, "response_format is not known here", call)
        assert isinstance(trouble, Trouble)
        assert (trouble.may_be_format, trouble.may_pass) == (True, False)


# ---- what may be sent


def test_nothing_is_sent_where_text_may_not_travel(server: Server, cache: AnswerCache, told_apart: str) -> None:
    def refuse() -> None:
        raise UserError("it may not")

    with pytest.raises(UserError, match="it may not"):
        list(client(server, cache, may_send=refuse)(questions([told_apart]), str))
    assert times_asked(server, told_apart) == 0


def test_a_server_on_this_machine_is_spoken_to_without_a_proxy(
    server: Server, cache: AnswerCache, told_apart: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert [type(outcome) for outcome in client(server, cache, retries=0)(questions([told_apart]), str)] == [Answered]


def test_a_proxy_sees_no_word_of_a_question(cache: AnswerCache, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        proxy.settimeout(60)

        def listen() -> None:
            connection, _ = proxy.accept()
            connection.settimeout(60)
            with connection:
                heard.append(connection.recv(65536))

        listening = threading.Thread(target=listen)
        listening.start()
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.getsockname()[1]}")
        monkeypatch.setenv("no_proxy", "")
        endpoint = Endpoint("phantom-1", api_base="https://models.invalid/v1", retries=0, timeout=5)
        (outcome,) = Client(endpoint, route_of(endpoint), cache=cache, budget=Budget(None))(questions(["the report"]), str)
        listening.join(timeout=60)
    assert isinstance(outcome, Failed)
    assert heard[0].startswith(b"CONNECT models.invalid:443 ")
    assert b"report" not in heard[0]


# ---- interruptions


def test_closing_early_calls_off_what_is_in_flight_and_keeps_what_came(tmp_path: Path, cache: AnswerCache) -> None:
    prompts = ["quick", *(f"{{{{slow 300 times=1}}}} {number}" for number in range(5))]
    with serve(tmp_path) as server:
        ask = client(server, cache, timeout=600.0)
        outcomes = ask(questions(prompts), str)
        assert isinstance(next(outcomes), Answered)
        until(lambda: len(server.requests()) == 6)
        outcomes.close()
        until(lambda: ask.budget.in_flight == 0)
        again = client(server, cache)
        assert [type(outcome) for outcome in again(questions(prompts), str)] == [Answered] * 6
    assert again.counts.cached == 1


RUN = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job is born deaf to it
from pathlib import Path
from benchmark.llm.budget import Budget
from benchmark.llm.cache import AnswerCache
from benchmark.llm.client import Client
from benchmark.llm.endpoint import Endpoint
from benchmark.llm.questions import Question
from benchmark.llm.routes import route_of
url, file, count = sys.argv[1:]
endpoint = Endpoint("phantom-1", api_base=url, timeout=5.0, concurrency=8)
ask = Client(endpoint, route_of(endpoint), cache=AnswerCache(Path(file)), budget=Budget(None), first_pause=0.02)
for outcome in ask((Question("label", f"question {number}") for number in range(int(count))), str):
    print(outcome.text, flush=True)
"""


def test_ctrl_c_ends_a_run_at_once_and_what_came_is_not_asked_again(tmp_path: Path, cache: AnswerCache) -> None:
    """Death without a word is tested in test_llm_killed.py."""
    with serve(tmp_path, latency=0.02) as server:
        command = [sys.executable, "-c", RUN, server.url, str(cache.file)]
        endless = [*command, "1000000"]  # a signal that comes late finds it still running
        running = subprocess.Popen(endless, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            until(lambda: len(server.requests()) >= 40)
            running.send_signal(signal.SIGINT)
            _, said = running.communicate(timeout=60)
        finally:
            running.kill()
        assert said.splitlines()[-1] == "KeyboardInterrupt"
        assert "Unclosed" not in said
        before = len(server.requests())
        prompts = [f"question {number}" for number in range(before + 20)]
        entries = client(server, cache).keyed(questions(prompts))
        kept = cache.get_many([entry.key for entry in entries])
        known = {entry.call.texts[0] for entry in entries if entry.key in kept}
        assert 20 <= len(known) <= before
        rest = subprocess.run([*command, str(len(prompts))], capture_output=True, text=True, timeout=300)
        assert len(rest.stdout.splitlines()) == len(prompts)
        assert not known & {request["prompt"] for request in server.requests()[before:]}
