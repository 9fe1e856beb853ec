"""A push service for tests that receives and decrypts pushes (RFC 8291)."""

import base64
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import http_ece
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from typing_extensions import override


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Device:
    """A browser with a subscription: it has the private key and the secret."""

    def __init__(self, service: "PushService") -> None:
        self._service = service
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._auth = secrets.token_bytes(16)
        self.path = f"/{secrets.token_urlsafe(16)}"
        self._payloads: list[dict[str, Any]] = []
        self._read = 0

    @property
    def endpoint(self) -> str:
        return f"{self._service.url}{self.path}"

    def subscription(self) -> dict[str, Any]:
        """Returns what a browser's `PushSubscription.toJSON()` returns."""
        point = self._key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        keys = {"p256dh": base64url(point), "auth": base64url(self._auth)}
        return {"endpoint": self.endpoint, "expirationTime": None, "keys": keys}

    @property
    def received(self) -> "list[Received]":
        return [one for one in list(self._service.received) if one.path == self.path]

    def payloads(self) -> list[dict[str, Any]]:
        """Returns the payloads of all pushes. Each is decrypted once: drills wait for thousands."""
        arrived = self._service.received
        while self._read < len(arrived):
            push = arrived[self._read]
            self._read += 1
            if push.path == self.path:
                self._payloads.append(self.decrypt(push))
        return list(self._payloads)

    def decrypt(self, push: "Received") -> dict[str, Any]:
        text = http_ece.decrypt(
            push.body, private_key=self._key, auth_secret=self._auth, version="aes128gcm"
        )
        payload: dict[str, Any] = json.loads(text)
        return payload

    def wait(self, count: int = 1, timeout: float = 15.0) -> list[dict[str, Any]]:
        """Waits for pushes and returns all payloads."""
        deadline = time.monotonic() + timeout
        while len(self.received) < count and time.monotonic() < deadline:
            time.sleep(0.02)
        return self.payloads()


@dataclass(frozen=True)
class Received:
    path: str
    headers: dict[str, str]
    body: bytes
    at: float = field(default_factory=time.monotonic)


Answer = Callable[[Received], tuple[int, dict[str, str]]]


class PushService:
    """Records all requests; `answer` decides what it says to each."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.answer: Answer = lambda _: (201, {})
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                headers = {name.lower(): value for name, value in self.headers.items()}
                push = Received(self.path, headers, self.rfile.read(length))
                service.received.append(push)
                status, extra = service.answer(push)
                self.send_response(status)
                for name, value in extra.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            @override
            def log_message(self, format: str, *args: Any) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def device(self) -> Device:
        return Device(self)


@contextmanager
def push_service_running() -> Iterator[PushService]:
    service = PushService()
    thread = threading.Thread(target=service.server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield service
    finally:
        service.server.shutdown()
        thread.join(10)
        service.server.server_close()
