"""Drill of the clients: a bad network and a killed server, between them and the promise.

Each client shows in the end what the history has, and the history has what each sent: nothing lost,
twice or out of order. All REST calls of the clients pass through the same proxy.
"""

import asyncio
import random
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from chat_backend_client import ChatClient
from tests.postgres_server import postgres_running

from .checker import Violation
from .client_faults import FAULTS, ClientFaults
from .client_task import Task
from .cluster import Cluster, cluster
from .findings import Findings
from .node_user import NodeUser, missing_for_node
from .python_user import PythonUser
from .shown import Shown, ShownMessage, check_sent, check_shown

PASSWORD = "a long walk 4711"
ROOM = "bad-network"
BEGINS_TIMEOUT = 60.0
ENDS_TIMEOUT = 120.0
"""Seconds for the last messages and changes, once the network is good again."""
MAX_DETAIL = 1000


@dataclass(frozen=True, slots=True)
class ClientPlan:
    """`seconds`: in which `cuts` and `kills` happen, and `messages` are sent."""

    cuts: int = 200
    kills: int = 20
    messages: int = 10_000
    users: int = 10
    seconds: float = 150.0
    postgres: bool = False
    node: bool = True
    """Half of the users with the TypeScript client, where it can run."""
    faults: tuple[str, ...] = FAULTS
    changes: float = 0.1
    """Edits, deletes and reactions for each message of a Python client."""
    flags: tuple[str, ...] = ()
    """For the TypeScript client: see NodeUser."""
    ends_within: float = ENDS_TIMEOUT
    within: float = 900.0
    """Seconds after which a TypeScript client ends, although it lacks messages."""
    seed: int | None = None


async def clients(plan: ClientPlan, folder: Path) -> Findings:
    begun = time.monotonic()
    seed = random.randrange(10**6) if plan.seed is None else plan.seed
    findings = Findings("clients")
    async with AsyncExitStack() as stack:
        settings = {"CHAT_ACCESS_TOKEN_MINUTES": "1"}  # so that tokens are renewed meanwhile
        if plan.postgres:
            postgres = stack.enter_context(postgres_running())
            settings["DATABASE_URL"] = postgres.new_database()
        servers = await stack.enter_async_context(
            cluster(
                folder,
                kind="uvicorn",
                processes=1,
                application="config.asgi:application",
                **settings,
            )
        )
        drill = ClientDrill(plan, servers, random.Random(seed), findings)
        await drill.run()
    database = "PostgreSQL" if plan.postgres else "SQLite"
    findings.note(f"{database}, seed {seed}, {time.monotonic() - begun:.0f} s")
    return findings


class ClientDrill:
    def __init__(
        self, plan: ClientPlan, servers: Cluster, rng: random.Random, findings: Findings
    ) -> None:
        self.plan, self.servers, self.rng, self.findings = plan, servers, rng, findings
        self.proxy = servers.proxies[0]

    @property
    def _direct(self) -> str:
        return self.servers.servers[0].http

    async def run(self) -> None:
        users = await self._prepare()
        each = self.plan.messages // len(users)
        faults = ClientFaults(
            self.servers,
            self.proxy,
            self.rng,
            cuts=self.plan.cuts,
            kills=self.plan.kills,
            seconds=self.plan.seconds,
            kinds=self.plan.faults,
        )
        self._task = Task(
            messages=each,
            pause=self.plan.seconds / each,
            changes=self.plan.changes,
            total=each * len(users) + 1,
            settles_within=self.plan.ends_within,
            within=self.plan.within,
        )
        chatting = [asyncio.create_task(user.chat(self._task)) for user in users]
        try:
            await self._begin(users)
            begun = time.monotonic()
            await faults.run()
            self.findings.note(
                ", ".join(f"{count} × {fault}" for fault, count in sorted(faults.counts.items()))
            )
            await self._end(users, each * len(users), begun)
            results = await asyncio.gather(*chatting, return_exceptions=True)
        finally:
            for task in chatting:
                task.cancel()
            await asyncio.gather(*chatting, return_exceptions=True)
        await self._judge(users, results)

    # Before

    async def _prepare(self) -> list[PythonUser | NodeUser]:
        names = [f"user{number}" for number in range(self.plan.users)]
        async with ChatClient(self._direct) as owner:
            for name in names:
                await owner.register(name, PASSWORD)
            await owner.register("owner", PASSWORD)
            room = await owner.api.create_room(ROOM, kind="group", members=[*names])
        url = f"http://{self.servers.addresses[0]}"
        node = self._node_share(len(names))
        users: list[PythonUser | NodeUser] = []
        for number, name in enumerate(names):
            on_events = number % 3 == 2
            if number < node:
                users.append(
                    NodeUser(url, name, PASSWORD, ROOM, room.id, on_events, self.plan.flags)
                )
            else:
                rng = random.Random(self.rng.random())
                users.append(PythonUser(url, name, PASSWORD, ROOM, room.id, on_events, rng))
        return users

    def _node_share(self, users: int) -> int:
        missing = missing_for_node()
        if not self.plan.node or missing:
            self.findings.note(f"{users} Python clients" + (f" ({missing})" if missing else ""))
            return 0
        node = users // 2
        self.findings.note(f"{users - node} Python and {node} TypeScript clients")
        return node

    async def _begin(self, users: list[PythonUser | NodeUser]) -> None:
        """Waits until all clients are there, so that each meets the faults."""
        async with asyncio.timeout(BEGINS_TIMEOUT), ChatClient(self._direct) as owner:
            for user in users:
                await user.opened.wait()
            self._task.all_open.set()
            await owner.login("owner", PASSWORD)
            awaited = {user.username for user in users if isinstance(user, NodeUser)}
            while awaited:
                await asyncio.sleep(0.1)
                sent = await owner.api.messages(await self._room_id(owner))
                awaited -= {message.username for message in sent}
        self._task.start.set()

    async def _room_id(self, owner: ChatClient) -> int:
        return next(one.id for one in await owner.api.my_rooms() if one.name == ROOM)

    # Afterwards

    async def _end(self, users: list[PythonUser | NodeUser], messages: int, begun: float) -> None:
        """Sends the last message, after which every client may end."""
        async with ChatClient(self._direct) as owner:
            await owner.login("owner", PASSWORD)
            await self._until_all_is_sent(owner, users, messages)
            self.findings.note(f"{messages} messages in {time.monotonic() - begun:.0f} s")
            async with owner.group(ROOM) as room:
                await room.send("the end")
        self._task.good.set()

    async def _until_all_is_sent(
        self, owner: ChatClient, users: list[PythonUser | NodeUser], messages: int
    ) -> None:
        """Waits; a message that is still missing then is a finding."""
        room_id = await self._room_id(owner)
        try:
            async with asyncio.timeout(self.plan.ends_within):
                for user in users:
                    await user.finished.wait()
                while (await owner.api.room(room_id)).last_seq < messages:
                    await asyncio.sleep(0.2)
        except TimeoutError:
            return

    async def _judge(
        self, users: list[PythonUser | NodeUser], results: list[Shown | BaseException]
    ) -> None:
        async with ChatClient(self._direct) as owner:
            await owner.login("owner", PASSWORD)
            room_id = await self._room_id(owner)
            history = [message async for message in owner.api.history(room_id)]
        stored = [ShownMessage.of(one) for one in history]
        changed = sum(one.edited_at is not None or one.deleted for one in history)
        self.findings.note(f"{changed} edited or deleted")
        violations = self.findings.violations
        for user, shown in zip(users, results, strict=True):
            if isinstance(shown, BaseException):
                violations.append(
                    Violation("client_failed", f"{user.username}: {shown!r}"[:MAX_DETAIL])
                )
                continue
            by_text = isinstance(user, NodeUser)
            own = [one for one in history if one.username == user.username]
            keys = [one.content if by_text else one.client_id or "" for one in own]
            violations += check_shown(shown, stored)
            violations += check_sent(shown.client, shown.sent, keys)
