"""Runs one or more server processes on one database, each behind a proxy."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.servers import Server, environment, free_port, prepare_database

from .proxy import Link, Proxy

# With DEBUG on, Django keeps every query; memory measurements would show that.
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
        """Returns the address of a random process, as a load balancer does."""
        return rng.choice(self.addresses)

    @property
    def addresses(self) -> list[str]:
        """Addresses in the order of `servers`."""
        return [f"127.0.0.1:{proxy.port}" for proxy in self.proxies]

    @property
    def links(self) -> list[Link]:
        return [link for proxy in self.proxies for link in proxy.links]

    async def kill(self, *numbers: int) -> None:
        """Kills these processes at the same moment (kill -9) and restarts them."""
        for number in numbers:
            self.servers[number].process.kill()
        await asyncio.gather(*(self._revive(self.servers[number]) for number in numbers))

    async def terminate(self, number: int) -> None:
        """Stops a process with SIGTERM, as a deployment does, and restarts it."""
        await asyncio.to_thread(self.servers[number].stop)
        await asyncio.to_thread(self.servers[number].start)

    async def _revive(self, server: Server) -> None:
        await asyncio.to_thread(server.process.wait, 10)
        await asyncio.to_thread(server.start)


@asynccontextmanager
async def cluster(
    folder: Path, *, kind: str, processes: int, application: str, **settings: str
) -> AsyncIterator[Cluster]:
    """Yields running processes with a fresh database in `folder`."""
    variables = environment(folder, **(PRODUCTION | settings))
    await asyncio.to_thread(prepare_database, folder, variables)
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
