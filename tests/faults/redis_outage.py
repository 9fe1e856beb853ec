"""Redis dies, freezes, or is cut off while people workload: nobody's socket may notice."""

import asyncio
import json
import time
from collections.abc import Callable, Coroutine
from typing import Any

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from .findings import Findings
from .installation import Installation
from .latency import FOREVER, Limits, Window, acknowledgements, crossings
from .workload import Workload, workload_running

RATE = 30.0
NORMAL_DELAY = 3.0
"""Seconds after its return within which all is as before."""
DOWN = 4.0
UP = 3.0
"""Seconds for which Redis is away, and is measured when it is back."""
WARMS_UP = 2.0
BEFORE = 3.0
BRIEFLY = 2.0
LET_IN_AT_LAST = 20.0


class Outage:
    """One workload with Redis away now and then, and what is to be said of it."""

    def __init__(self, workload: Workload, findings: Findings, limits: Limits) -> None:
        self._workload = workload
        self._findings = findings
        self._limits = limits
        self._away: list[Window] = []
        self._before: list[Window] = []
        self._normal: list[Window] = []
        self._let_in: list[float] = []

    async def is_to_come(self) -> None:
        """What this machine does at best, now: the numbers afterwards are to be read beside it."""
        await asyncio.sleep(WARMS_UP)
        begun = time.monotonic()
        await asyncio.sleep(BEFORE)
        self._before.append((begun, time.monotonic()))

    async def lasts(self, seconds: float) -> None:
        """Redis is away for so long, and somebody comes in at every process meanwhile."""
        begun = time.monotonic()
        await asyncio.sleep(seconds / 4)
        for address in self._workload.servers.addresses:
            self._let_in.append(await self._come_in(address))
        await asyncio.sleep(max(0.0, begun + seconds - time.monotonic()))
        self._away.append((begun, time.monotonic()))

    async def is_over(self, seconds: float) -> None:
        await asyncio.sleep(NORMAL_DELAY)
        begun = time.monotonic()
        await asyncio.sleep(seconds)
        self._normal.append((begun, time.monotonic()))

    async def _come_in(self, address: str) -> float:
        """Seconds until one more socket of a member was told `ready`."""
        begun = time.monotonic()
        try:
            async with asyncio.timeout(LET_IN_AT_LAST):
                await self._be_let_in(address)
        except (OSError, TimeoutError, WebSocketException):
            return FOREVER
        return time.monotonic() - begun

    async def _be_let_in(self, address: str) -> None:
        client, room = self._workload.clients[0], self._workload.rooms[0]
        url = f"ws://{address}{room.path}?token={client.account.access}"
        async with connect(url, compression=None, proxy=None, open_timeout=None) as socket:
            first: dict[str, Any] = json.loads(await socket.recv())
            if first["type"] != "ready":
                raise ConnectionError(f"turned away: {first}")

    def conclude(self) -> None:
        """Before the judgement, which ends all sockets."""
        records, limits, expect = self._workload.records, self._limits, self._findings.expect
        lost = sum(one.closed is not None for one in records.sessions)
        expect(not lost, "no_socket_closes", f"{lost} sockets closed")
        before = acknowledgements(records, self._before)
        self._findings.note(
            f"before it answers {before}, to other processes {crossings(records, self._before)}"
        )
        newcomer = self._workload.clients[0].account.username
        exits = records.exits.total() - records.exits[newcomer]
        self._findings.note(f"{exits} times somebody was told that one of those who stayed went")
        said = acknowledgements(records, self._away)
        in_time = said.p99 < limits.acknowledged and said.half < before.half + limits.waits
        expect(in_time, "acknowledged_in_time", f"answers meanwhile {said}")
        heard = crossings(records, self._away)
        expect(
            heard.p99 <= limits.by_repair,
            "delivered_by_repair",
            f"to other processes meanwhile {heard}",
        )
        slowest = max(self._let_in)
        expect(slowest <= limits.let_in, "let_in", f"newcomers let in within {slowest:.2f} s")
        heard = crossings(records, self._normal)
        expect(
            heard.p99 <= limits.by_hint,
            "normal_again",
            f"from {NORMAL_DELAY:.0f} s after its return on to other processes {heard},"
            f" answers {acknowledgements(records, self._normal)}",
        )


Trouble = Callable[[Outage], Coroutine[Any, Any, None]]


async def redis_killed(
    installed: Installation, *, times: int = 20, limits: Limits | None = None
) -> Findings:
    async def trouble(outage: Outage) -> None:
        for _ in range(times):
            installed.kill_redis()
            await outage.lasts(DOWN)
            await installed.start_redis()
            await outage.is_over(UP)

    return await _run_through(installed, "redis-killed", f"killed {times} times", trouble, limits)


async def redis_frozen(
    installed: Installation, *, seconds: float = 30.0, limits: Limits | None = None
) -> Findings:
    async def trouble(outage: Outage) -> None:
        installed.redis.freeze()
        try:
            await outage.lasts(seconds)
        finally:
            installed.redis.thaw()
        await outage.is_over(UP)

    return await _run_through(installed, "redis-frozen", f"for {seconds:.0f} s", trouble, limits)


async def redis_cut_off(
    installed: Installation, *, seconds: float = 30.0, limits: Limits | None = None
) -> Findings:
    """It lives, and between it and the servers all bytes vanish."""

    async def trouble(outage: Outage) -> None:
        installed.to_redis.swallow()
        try:
            await outage.lasts(seconds)
        finally:
            installed.to_redis.hand_on()
        await outage.is_over(UP)

    return await _run_through(installed, "redis-cut-off", f"for {seconds:.0f} s", trouble, limits)


async def redis_away(installed: Installation, *, limits: Limits) -> Findings:
    """All three in one workload, a few seconds of each."""

    async def trouble(outage: Outage) -> None:
        installed.redis.freeze()
        await outage.lasts(BRIEFLY)
        installed.redis.thaw()
        installed.to_redis.swallow()
        await outage.lasts(BRIEFLY)
        installed.to_redis.hand_on()
        installed.kill_redis()
        await outage.lasts(BRIEFLY)
        await installed.start_redis()
        await outage.is_over(BRIEFLY)

    return await _run_through(installed, "redis-away", "frozen, cut off, killed", trouble, limits)


async def _run_through(
    installed: Installation,
    drill: str,
    fact: str,
    trouble: Trouble,
    limits: Limits | None,
) -> Findings:
    findings = Findings(drill, [fact])
    async with workload_running(installed.servers, f"{drill}-") as workload:
        await workload.gathered()
        outage = Outage(workload, findings, limits or Limits())
        await workload.during(_all_of(outage, trouble), rate=RATE)
        outage.conclude()
        await workload.conclude(findings)
    return findings


async def _all_of(outage: Outage, trouble: Trouble) -> None:
    await outage.is_to_come()
    await trouble(outage)
