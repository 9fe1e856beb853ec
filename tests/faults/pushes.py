"""Pushes reach exactly the members who are away, also while followers die.

The servers leave following to `manage.py follow`. Two of these run, and a kill hits the one that
works. A push service of the drill receives and decrypts everything.
"""

import asyncio
import random
import signal
import subprocess
import time
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.clients import Person, Socket, register
from tests.forkserver import Program
from tests.push_service import Device, PushService, push_service_running
from tests.servers import Server, start_program

from .findings import Findings
from .installation import Installation, installation

DELAY = 2.0
TTL = 2
SETTINGS = {
    "DEBUG": "1",  # for CHAT_PUSH_LOOPBACK
    "LOG_LEVEL": "INFO",
    "CHAT_FOLLOWER": "command",
    "CHAT_FOLLOWER_TTL": f"{TTL}",
    "CHAT_FOLLOWER_INTERVAL": "0.2",
    "CHAT_PUSH_LOOPBACK": "1",
    "CHAT_PUSH_DELAY": f"{DELAY}",
    "CHAT_SUBSCRIBE_RATE": "off",
}
EARLY = 0.3
"""Seconds by which clocks and answers may make a push look early."""
ARRIVAL_TIMEOUT = 60.0
RATE = 20.0
UP = 3.0
"""Seconds between a takeover and the next kill, at most."""


@dataclass
class Room:
    """A group with an author and three members: away, reading, and with a socket."""

    id: int
    name: str
    author: Person
    away: Device
    others: list[Device]
    reader: Person
    socket: Socket
    sent: dict[int, float] = field(default_factory=dict)

    async def post(self) -> int:
        begun = time.monotonic()
        message = {"content": "Hey", "client_id": uuid.uuid4().hex}
        seq: int = (await _post(self.author, f"/rooms/{self.id}/messages", message))["seq"]
        self.sent[seq] = begun
        # Reads at once: it sends no read marker later than the delay of a push.
        await _post(self.reader, f"/rooms/{self.id}/read", {"seq": seq})
        return seq

    async def pushed(self, seq: int, timeout: float = ARRIVAL_TIMEOUT) -> bool:
        """Waits for a push that covers a message."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if any(one["seq"] >= seq for one in self.away.payloads()):
                return True
            await asyncio.sleep(0.05)
        return False


async def _post(person: Person, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Posts once more where the server closes an idle connection at that very moment."""
    try:
        answer = await person.post(path, body)
    except httpx.TransportError:
        answer = await person.post(path, body)
    content: dict[str, Any] = answer.raise_for_status().json()
    return content


class Follow:
    """A `manage.py follow` that is started again after each kill."""

    def __init__(self, server: Server, log: Path) -> None:
        self._server = server
        self._log = log
        self._seen = 0
        self.process = self._start()

    def _start(self) -> Program | subprocess.Popen[bytes]:
        return start_program(["manage.py", "follow"], self._server.environment, self._log)

    @property
    def works(self) -> bool:
        """Whether the process that runs now has got the lease."""
        return b"follows push" in self._log.read_bytes()[self._seen :]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)

    def restart(self) -> None:
        self._seen = self._log.stat().st_size
        self.process = self._start()

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.kill()


@dataclass
class Site:
    rooms: list[Room]
    followers: list[Follow]

    async def leader(self) -> Follow:
        """Waits until one of the followers works."""
        deadline = time.monotonic() + ARRIVAL_TIMEOUT
        while time.monotonic() < deadline:
            for one in self.followers:
                if one.works:
                    return one
            await asyncio.sleep(0.05)
        raise TimeoutError("no process follows")


async def pushes(folder: Path, *, trials: int = 1000, kills: int = 50, rooms: int = 25) -> Findings:
    findings = Findings("pushes")
    with push_service_running() as service:
        async with (
            installation(folder, processes=2, **SETTINGS) as installed,
            _site(folder, installed, service, rooms) as site,
        ):
            await _try(site, findings, trials)
            await _kill(site, findings, kills)
            _judge(site, findings)
    return findings


@asynccontextmanager
async def _site(
    folder: Path, installed: Installation, service: PushService, count: int
) -> AsyncIterator[Site]:
    servers = installed.servers.servers
    followers = [Follow(servers[0], folder / f"follow{number}.log") for number in range(2)]
    async with AsyncExitStack() as stack:
        for follower in followers:
            stack.callback(follower.stop)
        site = Site([], followers)
        # Its first lease tells where following begins.
        await site.leader()
        for _ in range(count):
            site.rooms.append(await _room(stack, servers, service))
        yield site


async def _room(stack: AsyncExitStack, servers: Sequence[Server], service: PushService) -> Room:
    server = random.choice(servers)
    people = [await register(server.http, server.ws) for _ in range(4)]
    for person in people:
        stack.push_async_callback(person.http.aclose)
    author, *members = people
    body = {"name": f"g{author.username}", "members": [one.username for one in members]}
    made = (await author.post("/rooms/with-members", body)).raise_for_status().json()
    devices = [service.device() for _ in people]
    for person, device in zip(people, devices, strict=True):
        (await person.post("/push/subscriptions", device.subscription())).raise_for_status()
    _, reader, online = members
    # At another process than the others: only Redis knows of the socket.
    socket = online.at(random.choice(servers)).group(made["name"])
    await stack.enter_async_context(socket)
    await socket.receive_type("ready")
    others = [devices[0], devices[2], devices[3]]
    return Room(made["id"], made["name"], author, devices[1], others, reader, socket)


async def _try(site: Site, findings: Findings, trials: int) -> None:
    """Sends messages one by one, each of which must be pushed once, to one device."""
    left = iter(range(trials))
    missing: list[int] = []

    async def in_room(room: Room) -> None:
        for _ in left:
            seq = await room.post()
            if not await room.pushed(seq):
                missing.append(seq)
            # Until the room may be pushed again: the next message has a push of its own.
            await asyncio.sleep(DELAY / 4)

    await asyncio.gather(*map(in_room, site.rooms))
    findings.expect(not missing, "away_is_pushed", f"{trials} trials, {len(missing)} not pushed")
    repeated = sum(_repeats(room.away) for room in site.rooms)
    findings.expect(not repeated, "pushed_once", f"{repeated} pushed twice")


def _repeats(device: Device) -> int:
    seqs = [one["seq"] for one in device.payloads()]
    return len(seqs) - len(set(seqs))


async def _kill(site: Site, findings: Findings, kills: int) -> None:
    """Kills the process that follows again and again, while messages are sent."""
    ended = asyncio.Event()
    before = sum(len(room.sent) for room in site.rooms)
    load = asyncio.ensure_future(_load(site, ended))
    for _ in range(kills):
        leader = await site.leader()
        await asyncio.sleep(random.uniform(0, UP))
        await asyncio.to_thread(leader.kill)
        leader.restart()
    ended.set()
    await load
    count = sum(len(room.sent) for room in site.rooms) - before
    covered = await asyncio.gather(*(room.pushed(max(room.sent)) for room in site.rooms))
    repeated = sum(_repeats(room.away) for room in site.rooms)
    findings.note(f"{kills} kills during {count} messages, {repeated} pushed twice")
    findings.expect(all(covered), "pushed_after_kills", f"{covered.count(False)} rooms not pushed")


async def _load(site: Site, ended: asyncio.Event) -> None:
    while not ended.is_set():
        for room in site.rooms:
            await room.post()
            await asyncio.sleep(1 / RATE)


def _judge(site: Site, findings: Findings) -> None:
    others = sum(len(device.received) for room in site.rooms for device in room.others)
    findings.expect(
        not others, "only_away", f"{others} pushes to authors, readers and open sockets"
    )
    premature = topics = uncovered = 0
    worst = 0.0
    for room in site.rooms:
        pushes_of: dict[int, list[float]] = defaultdict(list)
        for received in room.away.received:
            pushes_of[room.away.decrypt(received)["seq"]].append(received.at)
        topics += len({received.headers["topic"] for received in room.away.received}) > 1
        for seq, times in pushes_of.items():
            premature += min(times) < room.sent[seq] + DELAY - EARLY
        for seq, sent in room.sent.items():
            after = [at for pushed, times in pushes_of.items() if pushed >= seq for at in times]
            uncovered += not after
            worst = max(worst, min(after, default=sent) - sent)
    findings.expect(not uncovered, "every_message", f"{uncovered} messages without a push")
    findings.expect(not premature, "not_early", f"{premature} pushes before {DELAY:.0f} s")
    findings.expect(not topics, "same_topic", f"{topics} devices with several topics of one room")
    findings.note(f"slowest {worst:.1f} s after the message")
