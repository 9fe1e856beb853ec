"""Runs several processes with PostgreSQL, and Redis behind a proxy of the drill."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.postgres_server import PostgresServer, postgres_running
from tests.redis_server import RedisServer, redis_running

from .cluster import Cluster, cluster
from .proxy import Proxy

PROCESSES = 4


@dataclass(frozen=True, slots=True)
class Installation:
    servers: Cluster
    postgres: PostgresServer
    redis: RedisServer
    to_redis: Proxy

    def kill_redis(self) -> None:
        """Kills Redis with all its data: nothing is on disk."""
        self.to_redis.refuse()
        self.redis.kill()

    async def start_redis(self) -> None:
        self.redis.start()
        await self.to_redis.start()


@asynccontextmanager
async def installation(
    folder: Path,
    *,
    kind: str = "uvicorn",
    processes: int = PROCESSES,
    application: str = "config.asgi:application",
    **settings: str,
) -> AsyncIterator[Installation]:
    with postgres_running() as postgres, redis_running() as redis:
        to_redis = Proxy(redis.port)
        await to_redis.start()
        try:
            async with cluster(
                folder,
                kind=kind,
                processes=processes,
                application=application,
                DATABASE_URL=postgres.new_database(),
                REDIS_URL=f"redis://127.0.0.1:{to_redis.port}/0",
                **settings,
            ) as servers:
                yield Installation(servers, postgres, redis, to_redis)
        finally:
            await to_redis.close()
