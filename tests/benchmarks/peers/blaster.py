"""No server at all: answers one message with many copies of it, as fast as bytes can be written.

Tells how much the load generator takes when nothing holds it up.
"""

import asyncio
import sys
from typing import cast

import uvloop
from typing_extensions import override

COPIES = 16
ACCEPT = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)

peers: set[asyncio.Transport] = set()


class Peer(asyncio.Protocol):
    transport: asyncio.Transport

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's.
        self.transport = cast(asyncio.Transport, transport)

    @override
    def data_received(self, data: bytes) -> None:
        if self.transport not in peers:
            self.transport.write(ACCEPT)
            peers.add(self.transport)
            return
        # The load's frames have a 16-bit length and a mask of zeros.
        text = data[8:]
        copies = (b"\x81\x7e" + len(text).to_bytes(2, "big") + text) * COPIES
        for peer in peers:
            peer.write(copies)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        peers.discard(self.transport)


async def main(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Peer, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
