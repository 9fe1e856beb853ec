"""Scenario: searches in many messages, by kind of word, in one room and in all."""

import json
import sys
import time
from statistics import quantiles
from typing import Any

import httpx

from .processes import run
from .runner import Runner
from .search_seed import RARE
from .systems import POSTGRESQL, PRODUCT, SQLITE, Room, Running, System

SEED_TIMEOUT = 3600
WORDS = {
    "common": ["w0", "w3", "w9", "w0 w3"],
    "in 1 % or less": ["w60", "w100", "w200", "w400"],
    "in 0.1 % or less": ["w2000", "w15000"],
    "rare": [RARE],
    "absent": ["absent", "w0 absent"],
}
LAST = "-excluded"
"""Ends a query, whose last word would be a prefix."""
SEARCHES = 40
"""Of each kind in a round."""


def search(runner: Runner) -> None:
    """Searches one after the other; percentiles over the words of each kind."""
    messages = 5_000 if runner.quick else runner.messages
    for database in (SQLITE, POSTGRESQL):
        with runner.serving(System(PRODUCT, "uvicorn", database), [Room("other", 1)]) as one:
            command = [sys.executable, "-m", "tests.benchmarks.search_seed", str(messages)]
            seeded = json.loads(run(command, one.variables, timeout=SEED_TIMEOUT))
            for _ in range(runner.rounds):
                _measure(runner, one, seeded, f"search in {messages:,} messages")


def _measure(runner: Runner, one: Running, seeded: dict[str, Any], work: str) -> None:
    with httpx.Client(
        base_url=f"http://127.0.0.1:{one.port}/api",
        headers={"Authorization": f"Bearer {seeded['tokens'][0]}"},
        timeout=20,
    ) as client:
        for where, room in (("one room", {"room": seeded["room"]}), ("all rooms", {})):
            for kind, words in WORDS.items():
                spent = [
                    _time(client, {"q": f"{words[n % len(words)]} {LAST}", **room})
                    for n in range(SEARCHES)
                ]
                percentiles = quantiles(spent, n=20, method="inclusive")
                for name, value in (("p50", percentiles[9]), ("p95", percentiles[18])):
                    runner.add(work, f"{name} ms, {kind}, {where}", one.system, value * 1000)


def _time(client: httpx.Client, query: dict[str, Any]) -> float:
    start = time.perf_counter()
    client.get("/search", params=query).raise_for_status()
    return time.perf_counter() - start
