"""What a token costs: as the user says, else as LiteLLM's price map has it, else nothing for a model on this machine.

The map is read from the file that comes with LiteLLM, without importing it: that takes seconds, and by default fetches a newer map from elsewhere.
"""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from benchmark.llm.endpoint import Endpoint
from benchmark.llm.routes import route_of
from benchmark.records import UserError

PRICE_MAP = "model_prices_and_context_window_backup.json"
PER_MILLION = 1e-6
MOST_IMAGE_TOKENS = 48_169
"""of one image: gpt-4o-mini's for 2048 x 768 pixels, 2,833 and 5,667 for each of 8 tiles (platform.openai.com/docs/guides/images-vision), the most
that any model takes which is known to us"""
BATCH_SHARE = 0.5  # platform.openai.com/docs/guides/batch: "50% cost discount"; the map has the exact price for some models


class UnknownPrice(UserError):
    """A budget was set for a model whose price nobody said."""


class Price(NamedTuple):
    """Dollars per token."""

    input: float
    output: float
    source: str
    """where it is from: ``LiteLLM's price map 1.97.0`` | ``as set`` | ``on this machine: free``"""

    def of(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Dollars for that many tokens."""
        return self.input * prompt_tokens + self.output * completion_tokens


def price_of(endpoint: Endpoint, *, is_batch: bool = False) -> Price | None:
    """What its tokens cost, in a batch (half as much) or at once; None if nobody says. Raises ``NoEndpoint``."""
    known = _from_map(endpoint, is_batch=is_batch)
    share = PER_MILLION * (BATCH_SHARE if is_batch else 1.0)
    ins = share * endpoint.input_price if endpoint.input_price is not None else known.input if known else None
    outs = share * endpoint.output_price if endpoint.output_price is not None else known.output if known else None
    is_set = endpoint.input_price is not None or endpoint.output_price is not None
    if ins is not None and outs is not None:
        return Price(ins, outs, "as set" if is_set or known is None else known.source)
    if not is_set and route_of(endpoint).is_here:
        return Price(0.0, 0.0, "on this machine: free")
    return None


def price_for_budget(endpoint: Endpoint, *, is_batch: bool = False) -> Price:
    """The price, where a budget must be kept. Raises ``UnknownPrice``, ``NoEndpoint``."""
    price = price_of(endpoint, is_batch=is_batch)
    if price is None:
        raise UnknownPrice(
            f"a budget was set, and nobody says what {endpoint.model} costs ({_what_was_looked_at()}); say it in dollars per million tokens, "
            "--set llm.input_price=0.15 --set llm.output_price=0.60 (0 if it is free), or leave --budget out"
        )
    return price


def most_tokens(prompt_bytes: int, messages: int = 1, images: int = 0) -> int:
    """More tokens than a prompt can have: no tokenizer in use makes more of a text than it has bytes, and each message has a frame of a few."""
    return prompt_bytes + 16 * messages + MOST_IMAGE_TOKENS * images


def _from_map(endpoint: Endpoint, *, is_batch: bool) -> Price | None:
    prices = price_map()
    if not prices:
        return None
    route = route_of(endpoint)
    entry = prices.get(endpoint.model) or prices.get(f"{route.provider}/{route.model}")
    if entry is None and (bare := prices.get(endpoint.model.removeprefix(f"{route.provider}/") if route.provider else route.model)):
        # The map has some models by their name alone. Only the provider's own: gpt-4o served by somebody else has another price.
        entry = bare if not route.provider or str(bare.get("litellm_provider", "")).startswith(route.provider) else None
    if entry is None:
        return None
    found = []
    for name in ("input_cost_per_token", "output_cost_per_token"):
        whole, batch = entry.get(name), entry.get(f"{name}_batches")
        if not isinstance(whole, int | float):
            return None
        found.append(float(whole) if not is_batch else float(batch) if isinstance(batch, int | float) else float(whole) * BATCH_SHARE)
    if route.forwards_to and not any(found):
        return None  # the map takes every model of Ollama to be on this machine, and those that it asks of others are not
    return Price(found[0], found[1], f"LiteLLM's price map {importlib.metadata.version('litellm')}")


@functools.cache
def price_map() -> Mapping[str, Mapping[str, Any]]:
    """LiteLLM's file of prices; empty if it is not installed."""
    package = importlib.util.find_spec("litellm")
    if package is None or package.origin is None:
        return {}
    try:
        prices = json.loads((Path(package.origin).parent / PRICE_MAP).read_bytes())
    except (OSError, ValueError):  # a version that has it elsewhere
        return {}
    return prices if isinstance(prices, dict) else {}


def _what_was_looked_at() -> str:
    return (
        "LiteLLM's price map does not have it" if price_map() else "LiteLLM, which knows prices, is not installed: pip install 'clala-benchmark[llm]'"
    )
