"""Answers DNS queries for one name with all servers' addresses, as Docker does."""

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from typing_extensions import override

ANSWER = 0x8180
POINTER_TO_THE_NAME, TYPE_A, CLASS_IN, LIFE = b"\xc0\x0c", b"\0\x01", b"\0\x01", b"\0\0\0\x01"


class _Handler(socketserver.BaseRequestHandler):
    @override
    def handle(self) -> None:
        asked, back = self.request
        question = asked[12:]
        question = question[: question.index(b"\0") + 5]
        addresses = self.server.addresses  # type: ignore[attr-defined]
        counts = b"".join(n.to_bytes(2, "big") for n in (ANSWER, 1, len(addresses), 0, 0))
        record = POINTER_TO_THE_NAME + TYPE_A + CLASS_IN + LIFE + b"\0\x04"
        answers = b"".join(record + socket.inet_aton(address) for address in addresses)
        back.sendto(asked[:2] + counts + question + answers, self.client_address)


@contextmanager
def dns_server_running(*addresses: str) -> Iterator[int]:
    """Yields its UDP port at 127.0.0.1."""
    with socketserver.ThreadingUDPServer(("127.0.0.1", 0), _Handler) as server:
        server.addresses = addresses  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join(10)
