"""Money: what a token costs, what a command may spend, what it would spend. Prices from the map that comes with LiteLLM, sums by hand."""

from __future__ import annotations

import random
import subprocess
import sys
import threading

import pytest

from benchmark.llm.budget import Budget, BudgetReached, dollars
from benchmark.llm.cache import Size
from benchmark.llm.endpoint import Endpoint
from benchmark.llm.estimate import Estimate
from benchmark.llm.prices import Price, UnknownPrice, most_tokens, price_for_budget, price_map, price_of
from benchmark.records import UserError

HERE = "http://127.0.0.1:8000/v1"
THERE = "https://llm.example.org/v1"


@pytest.fixture(autouse=True)
def no_endpoints_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_BASE_URL", "OPENAI_API_BASE", "OLLAMA_API_BASE", "HOSTED_VLLM_API_BASE"):
        monkeypatch.delenv(name, raising=False)


# ---- prices

with_map = pytest.mark.skipif(not price_map(), reason="litellm, whose file of prices is read, is not installed")


@with_map
@pytest.mark.parametrize(
    ("endpoint", "per_million"),
    [
        # platform.openai.com/docs/pricing and claude.com/pricing, as of November 2025
        (Endpoint("openai/gpt-4o-mini"), (0.15, 0.60)),
        (Endpoint("gpt-4o-mini"), (0.15, 0.60)),
        (Endpoint("openai/gpt-4o-mini", api_base=THERE), (0.15, 0.60)),
        (Endpoint("anthropic/claude-sonnet-4-5"), (3.00, 15.00)),
        (Endpoint("bedrock/anthropic.claude-3-5-sonnet-20240620-v1:0"), (3.00, 15.00)),
        (Endpoint("azure/gpt-4o"), (2.50, 10.00)),
        (Endpoint("ollama/llama3"), (0.0, 0.0)),
    ],
    ids=lambda value: value.model if isinstance(value, Endpoint) else "",
)
def test_the_map_knows_what_providers_ask(endpoint: Endpoint, per_million: tuple[float, float]) -> None:
    price = price_of(endpoint)
    assert price is not None
    assert (price.input, price.output) == pytest.approx([1e-6 * dollars for dollars in per_million])
    assert price.source.startswith("LiteLLM's price map 1.")


@with_map
def test_a_model_of_somebody_else_has_not_the_price_of_its_namesake() -> None:
    assert price_of(Endpoint("hosted_vllm/gpt-4o", api_base=THERE)) is None


@with_map
@pytest.mark.parametrize("model", ["openai/gpt-4o-mini", "anthropic/claude-sonnet-4-5"])
def test_a_batch_costs_half(model: str) -> None:
    """One has its price in the map, of the other half is taken."""
    whole, batch = price_of(Endpoint(model)), price_of(Endpoint(model), is_batch=True)
    assert whole is not None
    assert batch is not None
    assert (batch.input, batch.output) == pytest.approx((whole.input / 2, whole.output / 2))


def test_what_the_user_says_holds_before_what_the_map_says() -> None:
    assert price_of(Endpoint("openai/gpt-4o-mini", input_price=1, output_price=2)) == Price(1e-6, 2e-6, "as set")


def test_a_model_on_this_machine_is_free_unless_it_is_said_otherwise() -> None:
    assert price_of(Endpoint("Qwen/Qwen2.5-7B-Instruct", api_base=HERE)) == Price(0.0, 0.0, "on this machine: free")
    assert price_of(Endpoint("Qwen/Qwen2.5-7B-Instruct", api_base=HERE, input_price=1, output_price=2)) == Price(1e-6, 2e-6, "as set")
    assert price_of(Endpoint("Qwen/Qwen2.5-7B-Instruct", api_base=THERE)) is None


def test_half_a_price_is_none() -> None:
    assert price_of(Endpoint("Qwen/Qwen2.5-7B-Instruct", api_base=HERE, input_price=1)) is None


def test_a_budget_for_a_model_without_a_price_says_how_to_say_it() -> None:
    with pytest.raises(
        UnknownPrice, match=r"nobody says what Qwen/Qwen2\.5-7B-Instruct costs .*--set llm\.input_price=0\.15 --set llm\.output_price=0\.60"
    ):
        price_for_budget(Endpoint("Qwen/Qwen2.5-7B-Instruct", api_base=THERE))


def test_prices_are_read_without_importing_litellm() -> None:
    """It takes seconds, and by default fetches a newer map from elsewhere."""
    code = "import sys; from benchmark.llm.prices import price_of; from benchmark.llm.endpoint import Endpoint; price_of(Endpoint('openai/gpt-4o'))"
    code += "; assert not {'litellm', 'openai', 'aiohttp'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize("text", ["", "Is the heart large?", "größer, 正常, 🫀" * 9, "\x00\x01\x02" * 50, "aaaa" * 100])
def test_no_tokenizer_makes_more_tokens_than_are_reserved(text: str) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    bytes_alone = tokenizers.Tokenizer(
        tokenizers.models.BPE(vocab={letter: n for n, letter in enumerate(tokenizers.pre_tokenizers.ByteLevel.alphabet())}, merges=[])
    )
    bytes_alone.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    assert len(bytes_alone.encode(text).ids) <= most_tokens(len(text.encode()))


# ---- the budget


def test_the_limit_is_never_crossed_whatever_comes_back_in_whatever_order() -> None:
    draw = random.Random(4)
    budget, in_flight, spent = Budget(1.0), [], 0.0
    for _ in range(10_000):
        most = draw.uniform(0.0001, 0.01)
        if draw.random() < 0.6 and budget.try_reserve(most):
            in_flight.append(most)
        elif in_flight:
            reserved = in_flight.pop(draw.randrange(len(in_flight)))
            cost = reserved * draw.random()
            budget.settle(reserved, "label", "any", 100, 10, cost)
            spent += cost
        assert spent + sum(in_flight) <= 1.0 + 1e-9
    assert spent == pytest.approx(1.0, abs=0.011)
    assert budget.spent() == pytest.approx(spent)
    assert budget.in_flight == len(in_flight)


def test_a_budget_can_be_spent_to_its_last_cent() -> None:
    """0.1 is no binary number: fifty times 0.001 as floats are more than 0.05."""
    budget = Budget(0.05)
    for _ in range(50):
        assert budget.try_reserve(0.001)
        budget.settle(0.001, "label", "any", 1, 1, 0.001)
    assert not budget.try_reserve(0.001)


def test_what_was_reserved_and_not_spent_is_there_again() -> None:
    budget = Budget(0.10)
    assert budget.try_reserve(0.10)
    assert not budget.try_reserve(0.01)
    budget.release(0.10)
    assert budget.try_reserve(0.10)
    budget.settle(0.10, "label", "any", 10, 1, 0.04)
    assert budget.try_reserve(0.06)


def test_without_a_limit_everything_goes_and_is_counted() -> None:
    budget = Budget(None)
    for number in range(1_000):
        assert budget.try_reserve(10.0)
        budget.settle(10.0, ("label", "judge")[number % 2], "any", 100, 10, None if number % 10 == 0 else 0.5)
    assert [tuple(row) for row in budget.rows()] == [("label", "any", 500, 50_000, 5_000, 200.0, 100), ("judge", "any", 500, 50_000, 5_000, 250.0, 0)]
    assert budget.spent() == 450.0


def test_threads_may_share_it() -> None:
    budget = Budget(1.0)
    taken: list[bool] = []
    threads = [threading.Thread(target=lambda: taken.extend(budget.try_reserve(0.001) for _ in range(500))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    assert sum(taken) == 1_000


def test_a_reached_budget_says_what_was_spent_what_waits_and_what_to_do() -> None:
    budget = Budget(5.0)
    for _ in range(3):
        assert budget.try_reserve(1.6)
        budget.settle(1.6, "label", "any", 10, 10, 1.5)
    assert not budget.try_reserve(1.6)
    reached = budget.reached(waiting=812)
    assert isinstance(reached, BudgetReached)
    assert isinstance(reached, UserError)
    assert str(reached) == (
        "--budget 5 is reached: $4.50 were spent on 3 calls, the next may cost $1.60, and at least 812 questions wait; "
        "run the same command again with a larger --budget: nothing that was answered is asked again"
    )
    assert "at least 1 question waits; run" in str(budget.reached())


def test_a_budget_below_one_question_says_so() -> None:
    budget = Budget(0.001)
    assert not budget.try_reserve(0.0021)
    assert str(budget.reached(10)).startswith("--budget 0.001 is too little: one question alone may cost $0.0021, so none was asked; give more")


@pytest.mark.parametrize("limit", [-1.0, float("nan")])
def test_a_limit_that_is_no_money_is_refused(limit: float) -> None:
    with pytest.raises(UserError, match=r"is no amount of money; give dollars, e\.g\. --budget 5\.00"):
        Budget(limit)


def test_a_budget_of_nothing_lets_free_models_answer() -> None:
    assert Budget(0.0).try_reserve(0.0)
    assert not Budget(0.0).try_reserve(1e-9)


@pytest.mark.parametrize(("amount", "text"), [(0, "$0.00"), (1234.5, "$1,234.50"), (0.5, "$0.5000"), (0.0021, "$0.0021"), (0.0000123, "$1e-05")])
def test_amounts_show_the_digits_that_say_something(amount: float, text: str) -> None:
    assert dollars(amount) == text


# ---- the estimate


def key(number: int) -> str:
    return f"{number:016x}" + "0" * 48


def test_without_earlier_answers_an_estimate_is_guessed_and_says_so() -> None:
    estimate = Estimate("any", [], price=Price(1e-6, 4e-6, "as set"), batch_price=Price(0.5e-6, 2e-6, "as set"), max_tokens=2048)
    for number in range(100):
        estimate.add(key(number), "judge", 2_000, is_cached=number < 10)
    (row,) = estimate.rows()
    assert (row.task, row.model, row.calls, row.cached) == ("judge", "any", 90, 10)
    assert (row.prompt_tokens, row.completion_tokens) == (90 * 500, 90 * 400)  # 4 characters a token, 400 tokens an answer
    assert (row.cost, row.batch_cost) == (pytest.approx(0.045 + 0.144), pytest.approx(0.0225 + 0.072))
    assert row.price == "as set"
    assert row.basis == "4.00 characters per token (guessed), 400 tokens per answer (guessed)"


def test_earlier_answers_of_the_model_teach_lengths() -> None:
    known = [
        Size("label", "any", 30, 30 * 500, 30 * 100, 30 * 700, 1.0, 0, 1),
        Size("judge", "any", 10, 10 * 500, 10 * 100, 10 * 50, 1.0, 0, 1),
        Size("label", "other", 900, 1, 900, 1, 1.0, 0, 1),
    ]
    estimate = Estimate("any", known, price=None, batch_price=None, max_tokens=2048)
    estimate.add(key(1), "label", 1_000, is_cached=False)
    estimate.add(key(2), "aggregate", 1_000, is_cached=False)
    label, aggregate = estimate.rows()
    assert (label.prompt_tokens, label.completion_tokens, label.cost, label.price) == (200, 700, None, "")
    assert label.basis == "5.00 characters per token (of 40 answers), 700 tokens per answer (mean of 30)"
    assert (aggregate.prompt_tokens, aggregate.completion_tokens) == (200, 120)


def test_few_answers_teach_no_rate_and_an_answer_is_never_longer_than_it_may_be() -> None:
    known = [Size("label", "any", 19, 19 * 500, 19 * 100, 19 * 700, 1.0, 0, 1)]
    estimate = Estimate("any", known, price=None, batch_price=None, max_tokens=64)
    estimate.add(key(1), "label", 1_000, is_cached=False)
    assert [(row.prompt_tokens, row.completion_tokens) for row in estimate.rows()] == [(250, 64)]
    assert estimate.rows()[0].basis == "4.00 characters per token (guessed), 64 tokens per answer (max_tokens)"


def test_the_same_question_counts_once() -> None:
    estimate = Estimate("any", [], price=None, batch_price=None, max_tokens=64)
    for number in (1, 2, 1, 1):
        estimate.add(key(number), "label", 400, is_cached=False)
    assert [row.calls for row in estimate.rows()] == [2]


def test_nothing_to_ask_is_an_empty_estimate() -> None:
    assert Estimate("any", [], price=None, batch_price=None, max_tokens=64).rows() == []
