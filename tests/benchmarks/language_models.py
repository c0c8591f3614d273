"""Speed of the client of language models: python tests/benchmarks/language_models.py [questions]

Against a server of its own on loopback, in a process of its own: many different questions at 200 ms of latency with 64 in flight, beside the ideal;
CPU time of a call by both of our ways beside bare ``litellm.acompletion``, same server, same prompts, by turns; answers a second from the cache; and
memory of cached runs of 1,000 to 100,000 questions, each in a new process.
"""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from machine import table

from benchmark.llm.background import event_loop
from benchmark.llm.budget import Budget
from benchmark.llm.cache import AnswerCache, Kept
from benchmark.llm.client import Client
from benchmark.llm.endpoint import Endpoint
from benchmark.llm.questions import Answered, Question
from benchmark.llm.routes import route_of

LATENCY_SECONDS = 0.2
IN_FLIGHT = 64
CALLS = 400
ROUNDS = 3
REPORT = "The heart is normal in size. There is no pleural effusion. " * 30  # with its instructions a prompt has some 1,800 characters


def main(count: int = 2_000) -> None:
    """Print a table per question."""
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; Python {sys.version.split()[0]}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        throughput(folder, count)
        overhead(folder)
        warm(folder)


def server(folder: Path, latency: float = 0.0) -> AbstractContextManager[Any]:
    """The server of the tests, which misbehaves only when it is told to."""
    sys.path.append(str(Path(__file__).parents[1] / "benchmark"))
    from llm_server import serve

    return serve(folder, latency=latency)


def client(url: str, cache: Path, *, in_flight: int = IN_FLIGHT, transport: str = "auto") -> Client:
    """A client with an empty budget book and the given cache."""
    endpoint = Endpoint("phantom-1", api_base=url, concurrency=in_flight, transport=transport)  # type: ignore[arg-type]
    return Client(endpoint, route_of(endpoint), cache=AnswerCache(cache), budget=Budget(None))


def questions(count: int, mark: str = "") -> Iterator[Question]:
    """Different ones, as long as a report with its instructions."""
    return (Question("label", f"{mark} {number}: {REPORT}") for number in range(count))


def throughput(folder: Path, count: int) -> None:
    """Many questions, a slow endpoint."""
    ideal = count * LATENCY_SECONDS / IN_FLIGHT
    rows = []
    with server(folder, LATENCY_SECONDS) as running:
        for turn in range(ROUNDS):
            ask = client(running.url, folder / f"throughput-{turn}.sqlite")
            wall, cpu = time.perf_counter(), time.process_time()
            outcomes = sum(isinstance(outcome, Answered) for outcome in ask(questions(count, f"turn {turn}"), str))
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            assert outcomes == count
            rows.append([f"turn {turn + 1}", f"{wall:.2f}", f"{wall / ideal:.3f}", f"{1000 * cpu / count:.2f}", f"{os.getloadavg()[0]:.1f}"])
    print(f"\n{count:,} different questions, {1000 * LATENCY_SECONDS:.0f} ms each, {IN_FLIGHT} in flight; ideal {ideal:.2f} s")
    print(table(["", "seconds", "of the ideal", "CPU ms a call", "load"], rows))


def overhead(folder: Path) -> None:
    """CPU time of this process for a call, everything counted: keys, cache, limits, HTTP."""
    ways = {"ours, direct": "direct", "ours, through LiteLLM": "litellm", "bare litellm.acompletion": ""}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    with server(folder) as running:
        for turn in range(ROUNDS + 1):  # the first warms up: imports, connections
            for number, (name, transport) in enumerate(ways.items()):
                cache = folder / f"overhead-{turn}-{number}.sqlite"
                mark, start = f"{name}, turn {turn}", time.process_time()
                if transport:
                    assert len(list(client(running.url, cache, in_flight=16, transport=transport)(questions(CALLS, mark), str))) == CALLS
                else:
                    asyncio.run_coroutine_threadsafe(bare(running.url, mark), event_loop()).result()
                seconds[name].append((time.process_time() - start) / CALLS)
    least = {name: min(found[1:]) for name, found in seconds.items()}
    rows = [[name, f"{1000 * value:.2f}", f"{value / least['bare litellm.acompletion']:.2f}"] for name, value in least.items()]
    print(f"\nCPU of a call, 16 in flight, no latency, least of {ROUNDS} turns of {CALLS}")
    print(table(["", "ms", "of bare LiteLLM"], rows))


async def bare(url: str, mark: str) -> None:
    """The same questions by LiteLLM alone."""
    from benchmark.llm.litellm_wire import load_litellm

    litellm, turn = load_litellm(), asyncio.Semaphore(16)

    async def one(question: Question) -> None:
        async with turn:
            messages = [{"role": "user", "content": question.prompt}]
            await litellm.acompletion("openai/phantom-1", messages, api_base=url, api_key="none", temperature=0.0, max_tokens=2048, num_retries=0)

    await asyncio.gather(*(one(question) for question in questions(CALLS, mark)))


def warm(folder: Path) -> None:
    """Answers a second from the cache, and the memory that they take."""
    cache, most = folder / "warm.sqlite", 100_000
    ask = client("http://127.0.0.1:9/v1", cache)
    keyed = ((ask.keyed([question])[0].key, Kept("x" * 800, "phantom-1", 500, 200, 0.0, "label", "phantom-1")) for question in questions(most))
    ask.cache.put_many(keyed)
    rows = []
    for count in (1_000, 10_000, most):
        done = subprocess.run([sys.executable, __file__, "warm", str(cache), str(count)], capture_output=True, text=True, check=True)
        wall, cpu, before, peak = map(float, done.stdout.split())
        rows.append([f"{count:,}", f"{count / wall:,.0f}", f"{count / cpu:,.0f}", f"{before:.0f}", f"{peak:.0f}"])
    print("\nfrom the cache, each in a new process")
    print(table(["questions", "answers/s", "answers/CPU s", "MB before", "MB peak"], rows))


def warm_run(cache: str, count: str) -> None:
    """One cached run; prints seconds, CPU seconds, megabytes before and at most."""
    ask = client("http://127.0.0.1:9/v1", Path(cache))
    before = peak_megabytes()
    wall, cpu = time.perf_counter(), time.process_time()
    assert sum(isinstance(outcome, Answered) for outcome in ask(questions(int(count)), str)) == int(count)
    print(time.perf_counter() - wall, time.process_time() - cpu, before, peak_megabytes())


def peak_megabytes() -> float:
    """Of this process. The kernel's own line, where there is one: ``getrusage`` counts what was there before the program was loaded."""
    status = Path("/proc/self/status")
    if status.exists():
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    if sys.argv[1:2] == ["warm"]:
        warm_run(*sys.argv[2:])
    else:
        main(*map(int, sys.argv[1:]))
