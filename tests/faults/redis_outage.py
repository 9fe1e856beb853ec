"""Kills, freezes and cuts off Redis under load; no socket may notice."""

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
"""Seconds after the return of Redis until delays must be normal."""
DOWN = 4.0
UP = 3.0
"""Seconds for which Redis is away, and for which delays are measured afterwards."""
WARMS_UP = 2.0
BEFORE = 3.0
BRIEFLY = 2.0
READY_TIMEOUT = 20.0


class Outage:
    """One workload with Redis outages, and its verdict."""

    def __init__(self, workload: Workload, findings: Findings, limits: Limits) -> None:
        self._workload = workload
        self._findings = findings
        self._limits = limits
        self._away: list[Window] = []
        self._before: list[Window] = []
        self._normal: list[Window] = []
        self._ready_delays: list[float] = []

    async def before(self) -> None:
        """Measures this machine without an outage, for comparison."""
        await asyncio.sleep(WARMS_UP)
        begun = time.monotonic()
        await asyncio.sleep(BEFORE)
        self._before.append((begun, time.monotonic()))

    async def during(self, seconds: float) -> None:
        """Keeps Redis away for `seconds`, while a client connects to every process."""
        begun = time.monotonic()
        await asyncio.sleep(seconds / 4)
        for address in self._workload.servers.addresses:
            self._ready_delays.append(await self._connect(address))
        await asyncio.sleep(max(0.0, begun + seconds - time.monotonic()))
        self._away.append((begun, time.monotonic()))

    async def after(self, seconds: float) -> None:
        await asyncio.sleep(NORMAL_DELAY)
        begun = time.monotonic()
        await asyncio.sleep(seconds)
        self._normal.append((begun, time.monotonic()))

    async def _connect(self, address: str) -> float:
        """Returns the seconds until one more socket of a member gets `ready`."""
        begun = time.monotonic()
        try:
            async with asyncio.timeout(READY_TIMEOUT):
                await self._until_ready(address)
        except (OSError, TimeoutError, WebSocketException):
            return FOREVER
        return time.monotonic() - begun

    async def _until_ready(self, address: str) -> None:
        client, room = self._workload.clients[0], self._workload.rooms[0]
        url = f"ws://{address}{room.path}?token={client.account.access}"
        async with connect(url, compression=None, proxy=None, open_timeout=None) as socket:
            first: dict[str, Any] = json.loads(await socket.recv())
            if first["type"] != "ready":
                raise ConnectionError(f"refused: {first}")

    def judge(self) -> None:
        """Judges the outage, before the workload's own checks end all sockets."""
        records, limits, expect = self._workload.records, self._limits, self._findings.expect
        lost = sum(one.closed is not None for one in records.sessions)
        expect(not lost, "no_socket_closes", f"{lost} sockets closed")
        before = acknowledgements(records, self._before)
        self._findings.note(
            f"before it answers {before}, to other processes {crossings(records, self._before)}"
        )
        own_name = self._workload.clients[0].account.username
        exits = records.exits.total() - records.exits[own_name]
        self._findings.note(f"{exits} exits received of users who stayed")
        answers = acknowledgements(records, self._away)
        in_time = answers.p99 < limits.acknowledged and answers.half < before.half + limits.waits
        expect(in_time, "acknowledged_in_time", f"answers meanwhile {answers}")
        delays = crossings(records, self._away)
        expect(
            delays.p99 <= limits.by_repair,
            "delivered_by_repair",
            f"to other processes meanwhile {delays}",
        )
        slowest = max(self._ready_delays)
        expect(
            slowest <= limits.ready, "admitted_in_time", f"new sockets ready within {slowest:.2f} s"
        )
        delays = crossings(records, self._normal)
        expect(
            delays.p99 <= limits.by_hint,
            "normal_again",
            f"from {NORMAL_DELAY:.0f} s after its return on to other processes {delays},"
            f" answers {acknowledgements(records, self._normal)}",
        )


Trouble = Callable[[Outage], Coroutine[Any, Any, None]]


async def redis_killed(
    installed: Installation, *, times: int = 20, limits: Limits | None = None
) -> Findings:
    async def trouble(outage: Outage) -> None:
        for _ in range(times):
            installed.kill_redis()
            await outage.during(DOWN)
            await installed.start_redis()
            await outage.after(UP)

    return await _run_through(installed, "redis-killed", f"killed {times} times", trouble, limits)


async def redis_frozen(
    installed: Installation, *, seconds: float = 30.0, limits: Limits | None = None
) -> Findings:
    async def trouble(outage: Outage) -> None:
        installed.redis.freeze()
        try:
            await outage.during(seconds)
        finally:
            installed.redis.thaw()
        await outage.after(UP)

    return await _run_through(installed, "redis-frozen", f"for {seconds:.0f} s", trouble, limits)


async def redis_cut_off(
    installed: Installation, *, seconds: float = 30.0, limits: Limits | None = None
) -> Findings:
    """Redis lives, but all bytes between it and the servers vanish."""

    async def trouble(outage: Outage) -> None:
        installed.to_redis.swallow()
        try:
            await outage.during(seconds)
        finally:
            installed.to_redis.hand_on()
        await outage.after(UP)

    return await _run_through(installed, "redis-cut-off", f"for {seconds:.0f} s", trouble, limits)


async def redis_away(installed: Installation, *, limits: Limits) -> Findings:
    """All three outages in one workload, a few seconds each."""

    async def trouble(outage: Outage) -> None:
        installed.redis.freeze()
        await outage.during(BRIEFLY)
        installed.redis.thaw()
        installed.to_redis.swallow()
        await outage.during(BRIEFLY)
        installed.to_redis.hand_on()
        installed.kill_redis()
        await outage.during(BRIEFLY)
        await installed.start_redis()
        await outage.after(BRIEFLY)

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
        outage.judge()
        await workload.conclude(findings)
    return findings


async def _all_of(outage: Outage, trouble: Trouble) -> None:
    await outage.before()
    await trouble(outage)
