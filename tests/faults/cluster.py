"""One or more server processes with one database, each behind a proxy."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.servers import Server, environment, free_port, manage

from .proxy import Link, Proxy

# With DEBUG on Django keeps every query, and measures would show that.
PRODUCTION = {"DEBUG": "0", "ALLOWED_HOSTS": "127.0.0.1"}


class Cluster:
    def __init__(self, servers: list[Server]) -> None:
        self.servers = servers
        self.proxies = [Proxy(server.port) for server in servers]

    async def start(self) -> None:
        await asyncio.gather(*(asyncio.to_thread(server.start) for server in self.servers))
        for proxy in self.proxies:
            await proxy.start()

    async def stop(self) -> None:
        for proxy in self.proxies:
            await proxy.close()
        await asyncio.gather(*(asyncio.to_thread(server.stop) for server in self.servers))

    def address(self, rng: random.Random) -> str:
        """Host and port of any of the processes, as a load balancer picks them."""
        return rng.choice(self.addresses)

    @property
    def addresses(self) -> list[str]:
        """In the order of `servers`."""
        return [f"127.0.0.1:{proxy.port}" for proxy in self.proxies]

    @property
    def links(self) -> list[Link]:
        return [link for proxy in self.proxies for link in proxy.links]

    async def kill(self, *numbers: int) -> None:
        """kill -9 of these processes at the same moment, then start them again."""
        for number in numbers:
            self.servers[number].process.kill()
        await asyncio.gather(*(self._revive(self.servers[number]) for number in numbers))

    async def terminate(self, number: int) -> None:
        """SIGTERM, as at a deployment, and start again."""
        await asyncio.to_thread(self.servers[number].stop)
        await asyncio.to_thread(self.servers[number].start)

    async def _revive(self, server: Server) -> None:
        await asyncio.to_thread(server.process.wait, 10)
        await asyncio.to_thread(server.start)


@asynccontextmanager
async def cluster(
    folder: Path, *, kind: str, processes: int, application: str, **settings: str
) -> AsyncIterator[Cluster]:
    """Running processes with a fresh database in `folder`."""
    variables = environment(folder, **(PRODUCTION | settings))
    await asyncio.to_thread(manage, variables, "migrate", "--verbosity", "0")
    servers = [
        Server(kind, free_port(), variables, folder / f"{kind}{number}.log", application)
        for number in range(processes)
    ]
    running = Cluster(servers)
    try:
        await running.start()
        yield running
    finally:
        await running.stop()
