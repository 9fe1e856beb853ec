"""Crashes PostgreSQL and restarts servers one after the other, under load."""

import asyncio
import time
from collections import Counter

from .checker import Violation
from .findings import Findings
from .installation import Installation
from .latency import FOREVER, Limits, absences
from .records import Records
from .workload import Workload, workload_running

RATE = 40.0
BETWEEN = 1.0
POLL_INTERVAL = 0.02
GIVES_UP_DELAY = 60.0


async def postgres_crashes(
    installed: Installation, *, times: int = 10, limits: Limits | None = None
) -> Findings:
    """After recovery from the log, every process must soon store messages again."""
    within = (limits or Limits()).back
    findings = Findings("postgres-crashes", [f"crashed {times} times"])
    took: list[float] = []
    async with workload_running(installed.servers, "crashes-") as workload:
        await workload.gathered()
        await workload.during(_crash(installed, workload, times, took), rate=RATE)
        findings.expect(
            max(took) <= within,
            "service_is_back",
            f"every process stored messages again {max(took):.1f} s after it at the latest,"
            f" half the times after {sorted(took)[len(took) // 2]:.1f} s",
        )
        await workload.conclude(findings)
    return findings


async def _crash(
    installed: Installation, workload: Workload, times: int, took: list[float]
) -> None:
    for _ in range(times):
        await asyncio.sleep(BETWEEN)
        await asyncio.to_thread(installed.postgres.crash_and_restart)
        took.append(await _served_again(workload, time.monotonic()))


async def _served_again(workload: Workload, since: float) -> float:
    """Returns the seconds until each process acknowledged a message."""
    while (passed := time.monotonic() - since) < GIVES_UP_DELAY:
        served = {
            one.via
            for one in reversed(workload.records.sent.values())
            if one.answered is not None and one.answered > since
        }
        if served >= set(workload.servers.addresses):
            return passed
        await asyncio.sleep(POLL_INTERVAL)
    return FOREVER


async def rolling_restarts(
    installed: Installation, *, rounds: int = 20, limits: Limits | None = None
) -> Findings:
    """Sends SIGTERM to each process in turn, as a deployment does."""
    within = (limits or Limits()).back
    findings = Findings(
        "rolling", [f"{rounds} times all {len(installed.servers.servers)} processes"]
    )
    async with workload_running(installed.servers, "rolling-") as workload:
        await workload.gathered()
        await workload.during(_roll(installed, rounds), rate=RATE)
        away = absences(workload.records, time.monotonic())
        late = [one for one in away if one.seconds > within]
        findings.note(
            f"{len(away)} lost sockets, back with all that they missed after"
            f" {away[-1].seconds:.1f} s at the latest, half after"
            f" {away[len(away) // 2].seconds:.2f} s, {len(late)} times after more than"
            f" {within:.0f} s"
        )
        findings.violations += [Violation("back_in_time", str(one)) for one in reversed(late)]
        findings.note(f"closed with {_codes(workload.records)}")
        await workload.conclude(findings)
    return findings


async def _roll(installed: Installation, rounds: int) -> None:
    for _ in range(rounds):
        for number in range(len(installed.servers.servers)):
            await installed.servers.terminate(number)


def _codes(records: Records) -> str:
    codes = Counter(one.code for one in records.sessions if one.closed is not None)
    return ", ".join(f"{code} {count} times" for code, count in codes.most_common())
