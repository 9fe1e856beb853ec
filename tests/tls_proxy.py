"""Adds TLS to a server: the dev requirements' binaries are built without.

It terminates TLS with a certificate of its own authority and forwards the content. PostgreSQL
clients first ask in the clear for TLS (SSLRequest); the proxy answers that too.
"""

import asyncio
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import trustme

SSL_REQUEST = (80877103).to_bytes(4, "big")
CHUNK = 65_536


@dataclass(frozen=True)
class Authority:
    """`file`: trusted by clients.

    `chain`, `key`, `context`: a certificate for `localhost`.
    """

    file: Path
    chain: Path
    key: Path
    context: ssl.SSLContext


def make_authority(folder: Path) -> Authority:
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    file, chain, key = (folder / name for name in ("authority.pem", "fullchain.pem", "privkey.pem"))
    authority.cert_pem.write_to_path(str(file))
    for blob in certificate.cert_chain_pems:
        blob.write_to_path(str(chain), append=True)
    certificate.private_key_pem.write_to_path(str(key))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return Authority(file, chain, key, context)


class TlsProxy:
    """`target` is a TCP port of this machine or the path of a Unix socket."""

    def __init__(self, context: ssl.SSLContext, target: int | str, *, postgres: bool) -> None:
        self._context = context
        self._target = target
        self._postgres = postgres
        self.port = 0
        self.connections = 0
        """Connections that completed TLS."""
        self._writers: list[asyncio.StreamWriter] = []

    async def open(self) -> asyncio.Server:
        within = None if self._postgres else self._context
        server = await asyncio.start_server(self._take, "127.0.0.1", 0, ssl=within)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def end(self, server: asyncio.Server) -> None:
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        for writer in self._writers:
            writer.transport.abort()
        # They close a turn of the loop later, and no other code runs the loop then.
        await asyncio.sleep(0.01)

    async def _take(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        self._writers.append(back)
        with suppress(OSError, asyncio.IncompleteReadError):
            if self._postgres:
                await self._upgrade(near, back)
            self.connections += 1
            far, onward = await self._reach()
            self._writers.append(onward)
            await asyncio.gather(_carry(near, onward), _carry(far, back))
        back.close()

    async def _upgrade(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        while (await near.readexactly(8))[4:] != SSL_REQUEST:
            back.write(b"N")  # the client asked for Kerberos
        back.write(b"S")
        await back.drain()
        await back.start_tls(self._context)

    async def _reach(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if isinstance(self._target, str):
            return await asyncio.open_unix_connection(self._target)
        return await asyncio.open_connection("127.0.0.1", self._target)


async def _carry(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(CHUNK):
            target.write(data)
            await target.drain()
    target.close()


@contextmanager
def tls_proxy_running(
    target: int | str, authority: Authority, *, postgres: bool = False
) -> Iterator[TlsProxy]:
    """Runs the proxy on its own thread, for tests of every kind."""
    front = TlsProxy(authority.context, target, postgres=postgres)
    loop = asyncio.new_event_loop()
    # Clients that mistrust the certificate disconnect midway: some tests expect that.
    loop.set_exception_handler(lambda loop, context: None)
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(front.open(), loop).result(10)
    try:
        yield front
    finally:
        asyncio.run_coroutine_threadsafe(front.end(server), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
