"""The storm: eight people talk in three rooms while everything breaks. Then all is checked."""

import asyncio
import random
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from .author import Author, Budget
from .chaos import Chaos
from .checker import Evidence, Violation, check
from .client import Client, sign_up
from .cluster import Cluster, cluster
from .notes import Notes, RoomRef
from .seat import Seat
from .truth import read_quiet_room

PEOPLE = 8
AUTHORS_PER_SEAT = 2
SECONDS_PER_FAULT = 12.0
MESSAGES_PER_SECOND = 40.0


@dataclass(frozen=True, slots=True)
class Plan:
    """`kills` and `terms` share the messages evenly; each comes while some are under way."""

    kills: int
    messages: int
    terms: int = 0
    processes: int = 1
    kind: str = "uvicorn"
    application: str = "config.asgi:application"
    people: int = PEOPLE
    settles_within: float = 40.0
    seed: int | None = None

    @property
    def within(self) -> float:
        """Seconds after which a storm that does not end is a failure of its own."""
        faults = SECONDS_PER_FAULT * (self.kills + self.terms)
        return 60 + faults + self.messages / MESSAGES_PER_SECOND


@dataclass(slots=True)
class Outcome:
    plan: Plan
    seed: int
    violations: list[Violation] = field(default_factory=list)
    acknowledged: int = 0
    resent: int = 0
    changes: int = 0
    lost_changes: int = 0
    sockets: int = 0
    frames: int = 0
    troubles: dict[str, int] = field(default_factory=dict)
    longest_stop: float = 0.0
    seconds: float = 0.0

    def __str__(self) -> str:
        plan = self.plan
        troubles = ", ".join(f"{count} {what}" for what, count in sorted(self.troubles.items()))
        return (
            f"{plan.kind}, {plan.processes} process(es), seed {self.seed}: {plan.kills} kills,"
            f" {plan.terms} SIGTERMs (longest restart {self.longest_stop:.1f} s), {troubles};"
            f" {self.acknowledged} acknowledged ({self.resent} as duplicates of a lost answer),"
            f" {self.changes} changes ({self.lost_changes} answers lost), {self.sockets} sockets,"
            f" {self.frames} frames, {self.seconds:.0f} s: {len(self.violations)} violations"
        )


async def storm(plan: Plan, folder: Path) -> Outcome:
    begun = time.monotonic()
    seed = random.randrange(10**6) if plan.seed is None else plan.seed
    outcome = Outcome(plan, seed)
    async with cluster(
        folder, kind=plan.kind, processes=plan.processes, application=plan.application
    ) as servers:
        drill = Drill(plan, servers, random.Random(seed))
        try:
            async with asyncio.timeout(plan.within):
                await drill.prepare()
                await drill.run()
        except TimeoutError:
            detail = f"not done after {plan.within:.0f} s: {drill.budget.acknowledged} messages"
            outcome.violations.append(Violation("ends_in_time", detail))
        outcome.violations += await drill.judge()
        await drill.close()
    _count(outcome, drill)
    outcome.seconds = time.monotonic() - begun
    return outcome


def _count(outcome: Outcome, drill: "Drill") -> None:
    notes = drill.notes
    outcome.acknowledged = notes.acknowledged
    outcome.resent = sum(one.duplicate for sent in notes.sent.values() for one in sent.answers)
    outcome.changes = sum(change.outcome == "done" for change in notes.changes)
    outcome.lost_changes = sum(change.outcome == "lost" for change in notes.changes)
    outcome.sockets = len(notes.sessions)
    outcome.frames = sum(len(session.heard) for session in notes.sessions)
    outcome.troubles = drill.troubles
    outcome.longest_stop = drill.longest_stop


class Drill:
    def __init__(self, plan: Plan, servers: Cluster, rng: random.Random) -> None:
        self.plan = plan
        self.servers = servers
        self.rng = rng
        self.notes = Notes()
        self.budget = Budget()
        self.troubles: dict[str, int] = {}
        self.longest_stop = 0.0
        self._clients: list[Client] = []
        self._rooms: list[RoomRef] = []
        self._seats: list[Seat] = []
        self._staying: list[asyncio.Task[None]] = []

    # Before

    async def prepare(self) -> None:
        for number in range(self.plan.people):
            rng = random.Random(self.rng.random())
            self._clients.append(
                await sign_up(f"person{number}", lambda rng=rng: self._address(rng), self.notes)  # type: ignore[misc]
            )
        self._rooms = [
            await self._make_room("square", "public"),
            await self._make_room("team", "group"),
            await self._make_room("crew", "group"),
        ]
        self._seats = [
            Seat(client, room, random.Random(self.rng.random()))
            for room in self._rooms
            for client in self._clients
        ]
        self._staying = [asyncio.create_task(seat.stay()) for seat in self._seats]

    def _address(self, rng: random.Random) -> str:
        return self.servers.address(rng)

    async def _make_room(self, name: str, kind: str) -> RoomRef:
        members = [client.account.username for client in self._clients[1:]]
        body = {"name": name, "kind": kind, "members": members}
        answer = await self._clients[0].insist("POST", "/rooms", body)
        answer.raise_for_status()
        return RoomRef(answer.json()["id"], name, "public" if kind == "public" else "group")

    # While everything breaks

    async def run(self) -> None:
        chaos = Chaos(self.servers, self._clients[0], self._seats, self.rng)
        self.troubles = chaos.counts
        authors = [
            Author(seat, str(number), self.budget, random.Random(self.rng.random()))
            for seat in self._seats
            for number in range(AUTHORS_PER_SEAT)
        ]
        async with asyncio.TaskGroup() as writing:
            for author in authors:
                writing.create_task(author.write())
            raging = asyncio.create_task(chaos.rage())
            try:
                await self._break()
            finally:
                raging.cancel()
            await self.budget.reached(self.plan.messages)
            self.budget.close(len(authors))

    async def _break(self) -> None:
        """Each fault comes after a random part of its share of the messages."""
        faults = ["kill"] * self.plan.kills + ["term"] * self.plan.terms
        self.rng.shuffle(faults)
        share, left = divmod(self.plan.messages, max(1, len(faults)))
        self.budget.release(left)
        for fault in faults:
            before = self.budget.acknowledged
            self.budget.release(share)
            await self.budget.reached(before + self.rng.randint(0, share * 3 // 4))
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

    # Afterwards

    async def judge(self) -> list[Violation]:
        """Reads the truth, waits until everybody should know it, and checks."""
        await self._wait_for_the_removed()
        for link in self.servers.links:
            link.delay = 0.0
        rooms = [await read_quiet_room(self._clients[0], room) for room in self._rooms]
        late = await self._late({room.id: room.version for room in rooms})
        for task in self._staying:
            task.cancel()
        await asyncio.gather(*self._staying, return_exceptions=True)
        views = {(one.client.account.id, one.room.id): one.view.shown() for one in self._seats}
        return late + check(Evidence(self.notes, {room.id: room for room in rooms}, views))

    async def _wait_for_the_removed(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self.plan.settles_within):
                await asyncio.gather(*(seat.allowed.wait() for seat in self._seats))

    async def _late(self, versions: dict[int, int]) -> list[Violation]:
        deadline = time.monotonic() + self.plan.settles_within
        behind: Sequence[Seat] = self._seats
        while behind and time.monotonic() < deadline:
            await asyncio.sleep(0.1)
            behind = [seat for seat in behind if seat.view.version < versions[seat.room.id]]
        return [
            Violation(
                "everybody_catches_up",
                f"user {seat.client.account.id} in room {seat.room.id} is at"
                f" {seat.view.version} of {versions[seat.room.id]}",
            )
            for seat in behind
        ]

    async def close(self) -> None:
        for client in self._clients:
            await client.close()
