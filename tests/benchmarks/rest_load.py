"""Sends HTTP requests over kept connections, each after the last answer.

Run as a process on the core of the load: `python -m tests.benchmarks.rest_load`, with a plan as
JSON on its input, one line for each measurement; it answers each with a line.
"""

import asyncio
import json
import sys
import time
from functools import partial
from itertools import cycle
from typing import Any

import uvloop
from typing_extensions import override


class Client(asyncio.Protocol):
    """One connection. It sends its requests in turn and counts the answers."""

    def __init__(self, load: "Load", requests: list[bytes]) -> None:
        self._load = load
        self._requests = cycle(requests)
        self._received = b""
        self.transport: Any = None

    @override
    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.send()

    def send(self) -> None:
        self._load.began += 1
        request = next(self._requests)
        self.transport.write(request.replace(b"$I", b"%d" % self._load.began))

    @override
    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found or not _is_whole(head.lower(), body):
            return
        self._received = b""
        self._load.count(int(head[9:12]), body)
        if self._load.runs:
            self.send()
        else:
            self.transport.close()

    @override
    def connection_lost(self, error: Exception | None) -> None:
        if self._load.runs:
            self._load.lost += 1


def _is_whole(head: bytes, body: bytes) -> bool:
    _, has_length, rest = head.partition(b"\r\ncontent-length:")
    if has_length:
        return len(body) >= int(rest.partition(b"\r\n")[0])
    return body.endswith(b"0\r\n\r\n")  # chunked: Django without CommonMiddleware


class Load:
    def __init__(self, expected: int) -> None:
        self._expected = expected
        self.runs = True
        self.began = self.answered = self.wrong = self.lost = 0
        self.example = b""

    def count(self, status: int, body: bytes) -> None:
        self.answered += 1
        if status != self._expected:
            self.wrong += 1
            self.example = body[:200]


async def measure(plan: dict[str, Any]) -> dict[str, Any]:
    """Answers counted after a quarter of the time, in which the server becomes warm."""
    loop = asyncio.get_running_loop()
    load = Load(plan["status"])
    for requests in plan["clients"]:
        make = partial(Client, load, [one.encode() for one in requests])
        await loop.create_connection(make, "127.0.0.1", plan["port"])
    await asyncio.sleep(plan["seconds"] / 4)
    print(json.dumps({"warm": True}), flush=True)
    before, start = load.answered, time.perf_counter()
    await asyncio.sleep(plan["seconds"])
    took, answers = time.perf_counter() - start, load.answered - before
    load.runs = False
    await asyncio.sleep(0.1)
    if load.wrong or load.lost:
        return {"failed": f"{load.wrong} wrong, {load.lost} lost, such as {load.example!r}"}
    return {"answers": answers, "seconds": took}


def main() -> None:
    for line in sys.stdin:
        print(json.dumps(uvloop.run(measure(json.loads(line)))), flush=True)


if __name__ == "__main__":
    main()
