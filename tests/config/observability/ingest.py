"""A Sentry that keeps everything that it receives."""

import gzip
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from typing_extensions import override

ARRIVES_TIMEOUT = 10.0


class Ingest:
    def __init__(self) -> None:
        self.bodies: list[str] = []
        taken = self.bodies

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                taken.append(body.decode())
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"{}")

            @override
            def log_message(self, *arguments: Any) -> None:
                """Nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def dsn(self) -> str:
        return f"http://key@127.0.0.1:{self.server.server_port}/1"

    def events(self, count: int) -> list[dict[str, Any]]:
        """Waits for so many events.

        An envelope is lines of JSON: its head, an item's head, the item.
        """
        deadline = time.monotonic() + ARRIVES_TIMEOUT
        while True:
            items = [json.loads(line) for body in self.bodies for line in body.splitlines()[2::2]]
            events = [item for item in items if "exception" in item or "logentry" in item]
            if len(events) >= count:
                return events
            assert time.monotonic() < deadline, self.bodies
            time.sleep(0.05)


@contextmanager
def ingesting() -> Iterator[Ingest]:
    ingest = Ingest()
    thread = threading.Thread(target=ingest.server.serve_forever, daemon=True)
    thread.start()
    try:
        yield ingest
    finally:
        ingest.server.shutdown()
        ingest.server.server_close()
        thread.join(5)
