"""Removes members while others post; removed members must receive nothing later."""

import asyncio
from bisect import bisect_right
from collections import defaultdict

from .findings import Findings
from .installation import Installation
from .random_faults import RandomFaults
from .records import Records
from .workload import Workload, workload_running

RATE = 60.0
AT_ONCE = 6
AWAY = (0.1, 1.0)
AWAY_WITHOUT_REDIS = (0.1, 2.5)
"""Seconds until a member is added again: late frames need time to arrive."""


async def removals(
    installed: Installation, *, times: int = 1000, follow_all: bool = True
) -> Findings:
    """Removes members `times` times with Redis, and as often without."""
    findings = Findings("removals")
    await _remove(installed, findings, times, AWAY, follow_all=follow_all)
    installed.kill_redis()
    try:
        await _remove(installed, findings, times, AWAY_WITHOUT_REDIS, follow_all=follow_all)
    finally:
        await installed.start_redis()
    return findings


async def _remove(
    installed: Installation,
    findings: Findings,
    times: int,
    away: tuple[float, float],
    *,
    follow_all: bool,
) -> None:
    state = "with Redis" if away is AWAY else "Redis dead"
    async with workload_running(
        installed.servers, f"removals-{state.replace(' ', '-')}-", follow_all=follow_all
    ) as workload:
        await workload.gathered()
        await workload.during(_remove_members(workload, times, away), rate=RATE)
        findings.note(f"{state}: {_summary(workload.records)}")
        await workload.conclude(findings)


async def _remove_members(workload: Workload, times: int, away: tuple[float, float]) -> None:
    faults = RandomFaults(
        workload.servers, workload.clients[0], workload.sockets, workload.rng, away=away
    )
    left = iter(range(times))

    async def some() -> None:
        for _ in left:
            while not await faults.remove(connected=True):
                await asyncio.sleep(0.02)

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(some())


def _summary(records: Records) -> str:
    """Returns the number of removals, and of those during which others posted."""
    posted: dict[int, list[tuple[float, int]]] = defaultdict(list)
    for sent in records.sent.values():
        posted[sent.room_id] += [
            (sent.answered, answer.version) for answer in sent.answers if sent.answered is not None
        ]
    for answers in posted.values():
        answers.sort()
    at_risk = 0
    for one in records.removals:
        answers = posted[one.room_id]
        first = bisect_right(answers, (one.begun, 0))
        last = bisect_right(answers, (one.added, 0))
        at_risk += any(version > one.version for _, version in answers[first:last])
    return f"{len(records.removals)} removals, in {at_risk} others posted before the return"
