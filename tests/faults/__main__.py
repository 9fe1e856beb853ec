"""Runs the fault drills at full size.

Without arguments it runs all drills, in about an hour (`make faults`); with a name it runs one.
`storm --kills 6` and similar options run a custom storm.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Protocol

from .checker import Violation, report
from .clients import ClientPlan, clients
from .clock_skew import clock_skew
from .docs_page import Document
from .findings import Findings
from .installation import PROCESSES, Installation, installation
from .presence import presence
from .pushes import pushes
from .reconnect import reconnect
from .redis_outage import redis_cut_off, redis_frozen, redis_killed
from .removals import removals
from .restarts import postgres_crashes, rolling_restarts
from .slow_readers import SlowReaderLoad, slow
from .soak import Endurance, soak
from .stalled_http import Load, unfinished, unread
from .storm import Plan, storm

LOG_SHOWN = 2000


class Result(Protocol):
    @property
    def violations(self) -> list[Violation]: ...


Drill = Callable[[Path], Coroutine[Any, Any, Result]]


def _on_site(drill: Callable[[Installation], Coroutine[Any, Any, Findings]]) -> Drill:
    """Runs a drill on four processes with their own PostgreSQL and Redis."""

    async def run(folder: Path) -> Result:
        async with installation(folder) as installed:
            return await drill(installed)

    return run


def _storm(**plan: Any) -> Drill:
    return lambda folder: storm(Plan(**plan), folder)


DRILLS: dict[str, Drill] = {
    "one-process": _storm(kills=100, terms=10, messages=20_000),
    "two-processes": _storm(kills=100, terms=10, messages=20_000, processes=2),
    "daphne": _storm(kills=15, terms=3, messages=3_000, kind="daphne"),
    "reconnect": lambda folder: reconnect(1000, folder),
    "slow": lambda folder: slow(SlowReaderLoad(), folder),
    "slow-daphne": lambda folder: slow(SlowReaderLoad(kind="daphne"), folder),
    "unread": lambda folder: unread(Load(), folder),
    "unread-daphne": lambda folder: unread(Load(kind="daphne"), folder),
    "unfinished": lambda folder: unfinished(Load(), folder),
    "unfinished-daphne": lambda folder: unfinished(Load(kind="daphne"), folder),
    "soak": lambda folder: soak(Endurance(), folder),
    "kills": _storm(kills=200, messages=50_000, processes=PROCESSES, on_site=True, follow_all=True),
    "redis-killed": _on_site(redis_killed),
    "redis-frozen": _on_site(redis_frozen),
    "redis-cut-off": _on_site(redis_cut_off),
    "postgres-crashes": _on_site(postgres_crashes),
    "rolling": _on_site(rolling_restarts),
    "clock": _on_site(clock_skew),
    "removals": _on_site(removals),
    "presence": _on_site(presence),
    "pushes": pushes,
    "clients": lambda folder: clients(ClientPlan(), folder),
    "clients-postgres": lambda folder: clients(ClientPlan(postgres=True), folder),
}


def main() -> int:
    chosen = _arguments()
    if chosen.drill == "storm":
        drills = {"storm": _own_storm(chosen)}
    else:
        drills = DRILLS if chosen.drill is None else {chosen.drill: DRILLS[chosen.drill]}
    document = Document() if chosen.document else None
    begun = time.monotonic()
    broken = sum(not _run(name, drill, chosen.log, document) for name, drill in drills.items())
    print(f"{len(drills) - broken} of {len(drills)} drills held, {time.monotonic() - begun:.0f} s")
    return 1 if broken else 0


def _run(name: str, drill: Drill, keep_log: bool, document: Document | None) -> bool:
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        result = asyncio.run(drill(Path(folder)))
        seconds = time.monotonic() - begun
        print(
            f"{name} ({seconds:.0f} s): {result}", report(result.violations), sep="\n", flush=True
        )
        for log in sorted(Path(folder).glob("*.log")) if keep_log or result.violations else []:
            print(f"{log.name}: {log.read_text()[-LOG_SHOWN:]}")
    if document is not None:
        document.put(name, str(result), seconds)
    return not result.violations


def _own_storm(chosen: argparse.Namespace) -> Drill:
    return _storm(
        kills=chosen.kills,
        terms=chosen.terms,
        messages=chosen.messages,
        processes=chosen.processes,
        on_site=chosen.site,
        kind=chosen.server,
        application=chosen.application,
        seed=chosen.seed,
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("drill", nargs="?", choices=[*DRILLS, "storm"])
    parser.add_argument("--document", action="store_true", help="write to docs/faults.md as well")
    parser.add_argument("--log", action="store_true", help="show the servers' logs in any case")
    of_storm = parser.add_argument_group("storm")
    of_storm.add_argument("--server", choices=["uvicorn", "daphne"], default="uvicorn")
    of_storm.add_argument("--kills", type=int, default=100)
    of_storm.add_argument("--terms", type=int, default=10, help="SIGTERMs")
    of_storm.add_argument("--messages", type=int, default=20_000)
    of_storm.add_argument("--processes", type=int, default=1)
    of_storm.add_argument("--site", action="store_true", help="on PostgreSQL and Redis")
    of_storm.add_argument("--seed", type=int)
    of_storm.add_argument("--application", default="config.asgi:application")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
