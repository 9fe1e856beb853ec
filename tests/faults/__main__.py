"""Drills at length: servers are killed while people talk, crowds come back, readers never read.

Without arguments all of them, about twenty minutes (`make faults`). `storm`, or any of its options,
runs one storm; `reconnect` and `slow` one drill of that kind.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Protocol

from .checker import Violation, report
from .crowd import reconnect
from .slow import Burden, slow
from .storm import Plan, storm

LOG_SHOWN = 2000


class Result(Protocol):
    @property
    def violations(self) -> list[Violation]: ...


Drill = Callable[[Path], Coroutine[None, None, Result]]


def main() -> int:
    chosen = _arguments()
    drills = _all() if chosen.all or len(sys.argv) == 1 else [_one(chosen)]
    begun = time.monotonic()
    broken = sum(not _run(drill, keep_log=chosen.log) for drill in drills)
    print(f"{len(drills) - broken} of {len(drills)} drills held, {time.monotonic() - begun:.0f} s")
    return 1 if broken else 0


def _run(drill: Drill, *, keep_log: bool) -> bool:
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        result = asyncio.run(drill(Path(folder)))
        print(result, report(result.violations), sep="\n", flush=True)
        for log in sorted(Path(folder).glob("*.log")) if keep_log or result.violations else []:
            print(f"{log.name}: {log.read_text()[-LOG_SHOWN:]}")
    return not result.violations


def _all() -> list[Drill]:
    """What the issue that asked for this harness promises, in order of what it is worth."""
    return [
        lambda folder: storm(Plan(kills=100, terms=10, messages=20_000), folder),
        lambda folder: storm(Plan(kills=100, terms=10, messages=20_000, processes=2), folder),
        lambda folder: storm(Plan(kills=15, terms=3, messages=3_000, kind="daphne"), folder),
        lambda folder: reconnect(1000, folder),
        lambda folder: slow(Burden(), folder),
        lambda folder: slow(Burden(kind="daphne"), folder),
    ]


def _one(chosen: argparse.Namespace) -> Drill:
    match chosen.drill:
        case "reconnect":
            return lambda folder: reconnect(chosen.people, folder, kind=chosen.server)
        case "slow":
            burden = Burden(chosen.sockets, chosen.stuck, chosen.rate * 1e6, chosen.server)
            return lambda folder: slow(burden, folder)
    plan = Plan(
        kills=chosen.kills,
        terms=chosen.terms,
        messages=chosen.messages,
        processes=chosen.processes,
        on_site=chosen.site,
        kind=chosen.server,
        application=chosen.application,
        seed=chosen.seed,
    )
    return lambda folder: storm(plan, folder)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("drill", nargs="?", choices=["storm", "reconnect", "slow"], default="storm")
    parser.add_argument("--all", action="store_true", help="every drill, as without arguments")
    parser.add_argument("--server", choices=["uvicorn", "daphne"], default="uvicorn")
    parser.add_argument("--log", action="store_true", help="show the server's log in any case")
    of_storm = parser.add_argument_group("storm")
    of_storm.add_argument("--kills", type=int, default=100)
    of_storm.add_argument("--terms", type=int, default=10, help="SIGTERMs")
    of_storm.add_argument("--messages", type=int, default=20_000)
    of_storm.add_argument("--processes", type=int, default=1)
    of_storm.add_argument("--site", action="store_true", help="on PostgreSQL and Redis")
    of_storm.add_argument("--seed", type=int)
    of_storm.add_argument("--application", default="config.asgi:application")
    parser.add_argument_group("reconnect").add_argument("--people", type=int, default=1000)
    of_slow = parser.add_argument_group("slow")
    of_slow.add_argument("--sockets", type=int, default=500)
    of_slow.add_argument("--stuck", type=int, default=50)
    of_slow.add_argument("--rate", type=float, default=2.0, help="MB/s to each socket")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
