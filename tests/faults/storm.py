"""Storm: kills and random faults during a workload, then all checks."""

import asyncio
import random
import time
from dataclasses import dataclass, field
from pathlib import Path

from typing_extensions import override

from .checker import Violation
from .cluster import Cluster, cluster
from .installation import installation
from .random_faults import RandomFaults
from .workload import PEOPLE, SETTLES_TIMEOUT, Workload

SECONDS_PER_FAULT = 12.0
MESSAGES_PER_SECOND = 40.0


@dataclass(frozen=True, slots=True)
class Plan:
    """`kills` and `terms` are spread evenly over the messages."""

    kills: int
    messages: int
    terms: int = 0
    processes: int = 1
    on_site: bool = False
    """With PostgreSQL and Redis instead of one SQLite file."""
    kind: str = "uvicorn"
    application: str = "config.asgi:application"
    people: int = PEOPLE
    settles_within: float = SETTLES_TIMEOUT
    seed: int | None = None
    name: str = ""
    """Prefix of usernames and rooms when several storms share an installation."""

    @property
    def within(self) -> float:
        """Seconds after which an unfinished storm is a failure."""
        faults = SECONDS_PER_FAULT * (self.kills + self.terms)
        return 60 + faults + self.messages / MESSAGES_PER_SECOND


@dataclass(slots=True)
class Outcome:
    plan: Plan
    seed: int
    violations: list[Violation] = field(default_factory=list)
    acknowledged: int = 0
    summary: str = ""
    troubles: dict[str, int] = field(default_factory=dict)
    longest_stop: float = 0.0
    seconds: float = 0.0

    @override
    def __str__(self) -> str:
        plan = self.plan
        troubles = ", ".join(f"{count} {what}" for what, count in sorted(self.troubles.items()))
        database = "PostgreSQL and Redis" if plan.on_site else "SQLite"
        return (
            f"{plan.kind}, {plan.processes} process(es), {database}, seed {self.seed}:"
            f" {plan.kills} kills, {plan.terms} SIGTERMs (longest restart"
            f" {self.longest_stop:.1f} s), {troubles}; {self.summary},"
            f" {self.seconds:.0f} s: {len(self.violations)} violations"
        )


async def storm(plan: Plan, folder: Path) -> Outcome:
    """Runs a storm on servers that it starts."""
    settings = {"kind": plan.kind, "application": plan.application}
    if plan.on_site:
        async with installation(folder, processes=plan.processes, **settings) as whole:
            return await storm_over(whole.servers, plan)
    async with cluster(folder, processes=plan.processes, **settings) as servers:
        return await storm_over(servers, plan)


async def storm_over(servers: Cluster, plan: Plan) -> Outcome:
    begun = time.monotonic()
    outcome = Outcome(plan, random.randrange(10**6) if plan.seed is None else plan.seed)
    running = Storm(plan, servers, random.Random(outcome.seed))
    workload = running.workload
    try:
        try:
            async with asyncio.timeout(plan.within):
                await workload.prepare()
                await running.run()
        except TimeoutError:
            detail = f"not done after {plan.within:.0f} s: {workload.budget.acknowledged} messages"
            outcome.violations.append(Violation("ends_in_time", detail))
        outcome.violations += await workload.judge()
    finally:
        await workload.close()
    outcome.acknowledged = workload.records.acknowledged
    outcome.summary = workload.records.summary()
    outcome.troubles = running.troubles
    outcome.longest_stop = running.longest_stop
    outcome.seconds = time.monotonic() - begun
    return outcome


class Storm:
    def __init__(self, plan: Plan, servers: Cluster, rng: random.Random) -> None:
        self.plan = plan
        self.servers = servers
        self.rng = rng
        self.workload = Workload(
            servers, rng, name=plan.name, people=plan.people, settles_within=plan.settles_within
        )
        self.troubles: dict[str, int] = {}
        self.longest_stop = 0.0

    async def run(self) -> None:
        await self.workload.during(self._run_faults_and_break(), at_least=self.plan.messages)

    async def _run_faults_and_break(self) -> None:
        workload = self.workload
        faults = RandomFaults(self.servers, workload.clients[0], workload.sockets, self.rng)
        self.troubles = faults.counts
        running = asyncio.create_task(faults.run())
        try:
            await self._break()
        finally:
            running.cancel()

    async def _break(self) -> None:
        """Each fault comes after a random part of its share of the messages."""
        faults = ["kill"] * self.plan.kills + ["term"] * self.plan.terms
        self.rng.shuffle(faults)
        share, left = divmod(self.plan.messages, max(1, len(faults)))
        budget = self.workload.budget
        budget.release(left)
        for fault in faults:
            before = budget.acknowledged
            budget.release(share)
            await budget.reached(before + self.rng.randint(0, share * 3 // 4))
            await asyncio.sleep(self.rng.uniform(0, 0.05))
            await self._strike(fault)

    async def _strike(self, fault: str) -> None:
        one = self.rng.randrange(self.plan.processes)
        if fault == "term":
            began = time.monotonic()
            await self.servers.terminate(one)
            self.longest_stop = max(self.longest_stop, time.monotonic() - began)
        elif self.rng.random() < 0.3:
            await self.servers.kill(*range(self.plan.processes))
        else:
            await self.servers.kill(one)
