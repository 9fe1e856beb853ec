"""PostgreSQL crashes and servers are replaced, one after the other, while people talk."""

import asyncio
import time
from collections import Counter

from .checker import Violation
from .findings import Findings
from .latency import FOREVER, Limits, absences
from .notes import Notes
from .site import Site
from .talk import Talk, talking

RATE = 40.0
BETWEEN = 1.0
LOOKS_INTERVAL = 0.02
GIVES_UP_DELAY = 60.0


async def postgres_crashes(
    place: Site, *, times: int = 10, limits: Limits | None = None
) -> Findings:
    """Recovery from the log, and every process stores messages again soon after."""
    within = (limits or Limits()).back
    findings = Findings("postgres-crashes", [f"crashed {times} times"])
    took: list[float] = []
    async with talking(place.servers, "crashes-") as talk:
        await talk.gathered()
        await talk.during(_crash(place, talk, times, took), rate=RATE)
        findings.expect(
            max(took) <= within,
            "service_is_back",
            f"every process stored messages again {max(took):.1f} s after it at the latest,"
            f" half the times after {sorted(took)[len(took) // 2]:.1f} s",
        )
        await talk.conclude(findings)
    return findings


async def _crash(place: Site, talk: Talk, times: int, took: list[float]) -> None:
    for _ in range(times):
        await asyncio.sleep(BETWEEN)
        await asyncio.to_thread(place.postgres.crash_and_restart)
        took.append(await _served_again(talk, time.monotonic()))


async def _served_again(talk: Talk, since: float) -> float:
    """Seconds until each process acknowledged a message."""
    while (passed := time.monotonic() - since) < GIVES_UP_DELAY:
        served = {
            one.via
            for one in reversed(talk.notes.sent.values())
            if one.answered is not None and one.answered > since
        }
        if served >= set(talk.servers.addresses):
            return passed
        await asyncio.sleep(LOOKS_INTERVAL)
    return FOREVER


async def rolling_restarts(
    place: Site, *, rounds: int = 20, limits: Limits | None = None
) -> Findings:
    """SIGTERM to each process in turn, as at a deployment."""
    within = (limits or Limits()).back
    findings = Findings("rolling", [f"{rounds} times all {len(place.servers.servers)} processes"])
    async with talking(place.servers, "rolling-") as talk:
        await talk.gathered()
        await talk.during(_roll(place, rounds), rate=RATE)
        away = absences(talk.notes, time.monotonic())
        late = [one for one in away if one.seconds > within]
        findings.note(
            f"{len(away)} times somebody lost a socket, back with all they missed after"
            f" {away[-1].seconds:.1f} s at the latest, half after"
            f" {away[len(away) // 2].seconds:.2f} s, {len(late)} times after more than"
            f" {within:.0f} s"
        )
        findings.violations += [Violation("back_in_time", str(one)) for one in reversed(late)]
        findings.note(f"closed with {_codes(talk.notes)}")
        await talk.conclude(findings)
    return findings


async def _roll(place: Site, rounds: int) -> None:
    for _ in range(rounds):
        for number in range(len(place.servers.servers)):
            await place.servers.terminate(number)


def _codes(notes: Notes) -> str:
    codes = Counter(one.code for one in notes.sessions if one.closed is not None)
    return ", ".join(f"{code} {count} times" for code, count in codes.most_common())
