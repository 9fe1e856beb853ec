"""Generates the load in Python, without a C compiler (see `load.c`)."""

import asyncio
import json
import resource
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import uvloop
from typing_extensions import override

HANDSHAKE = (
    "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{offer}\r\n"
)
OFFER = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
TEXT, CLOSE, PING, PONG = 1, 8, 9, 10


class Receipt(NamedTuple):
    after: int
    sent: int
    client: int


class Load:
    """All clients, their messages and counts."""

    def __init__(self) -> None:
        self.words = dict.fromkeys(("ready", "delivery", "answer", "hello", "ping", "pong"), b"")
        self.frame = ""
        self.port = self.padding = self.number = 0
        self.in_flight = 64
        self.offers = self.compressed = self.owed = 0
        self.strict = False
        self.clients: list[Client] = []
        self.entered = self.lost = 0
        self.deliveries = self.answers = self.bytes = 0
        self.running = False
        self.times: list[Receipt] = []
        self.timing = False
        self.moved = asyncio.Event()

    def next_frame(self) -> bytes:
        text = f"t={time.monotonic_ns():019d};".ljust(self.padding, "x")
        self.number += 1
        return self.frame.replace("$T", text).replace("$I", str(self.number)).encode()

    def send_to_all(self) -> None:
        self.owed = sum(client.is_in for client in self.clients)
        self.senders()[0].send_next()

    def delivered_to_one(self) -> None:
        """In a strict loop the next message waits until all have the last."""
        self.owed -= 1
        if self.strict and self.running and self.owed == 0:
            self.send_to_all()

    def senders(self) -> "list[Client]":
        return [client for client in self.clients if client.sends and client.is_in]


class Client(asyncio.Protocol):
    def __init__(self, load: Load, path: str, *, sends: bool) -> None:
        self.load = load
        self.port = load.port
        self.number = len(load.clients)
        self.path = path
        self.sends = sends
        self.is_in = self.is_shaking = self.is_lost = self.is_waiting = False
        self.rest = b""

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not subclass asyncio's.
        self.transport = cast(asyncio.Transport, transport)
        self.is_shaking = True
        offer = OFFER if self.load.offers else ""
        head = HANDSHAKE.format(path=self.path, port=self.port, offer=offer)
        self.transport.write(head.encode())

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self.lose()

    def lose(self) -> None:
        if not self.is_lost:
            self.is_lost, self.is_in, self.is_waiting = True, False, False
            self.load.lost += 1
            self.load.moved.set()

    @override
    def data_received(self, data: bytes) -> None:
        if self.rest:
            data = self.rest + data
        at = self._handshake(data) if self.is_shaking else 0
        self.rest = data[self._frames(data, at) :]

    def _handshake(self, data: bytes) -> int:
        end = data.find(b"\r\n\r\n")
        if end < 0:
            return 0
        self.is_shaking = False
        self.load.compressed += b"permessage-deflate" in data[:end]
        if data[9:12] != b"101":
            self.transport.abort()
        elif self.load.words["hello"]:
            self.put(TEXT, self.load.words["hello"])
        if not self.load.words["ready"]:
            self._enter()
        return end + 4

    def _frames(self, data: bytes, at: int) -> int:
        """Handles whole frames from `at` on.

        Returns the start of the first incomplete one.
        """
        size = len(data)
        while size - at >= 2 and not self.is_shaking:
            length, head = data[at + 1], 2
            if length >= 126:
                head = 4 if length == 126 else 10
                length = int.from_bytes(data[at + 2 : at + head], "big")
            end = at + head + length
            if size < end:
                break
            if data[at] & 0x40:
                self._take_compressed(length)
            else:
                self._take(data[at] & 15, data[at + head : end])
            at = end
        return at

    def _take_compressed(self, size: int) -> None:
        if not self.is_in:
            self._enter()
            return
        self.load.deliveries += 1
        self.load.bytes += size

    def _take(self, opcode: int, text: bytes) -> None:
        load, words = self.load, self.load.words
        if opcode == PING:
            self.put(PONG, text)
        elif opcode == CLOSE:
            self.transport.abort()
        elif text.startswith(words["delivery"]):
            load.deliveries += 1
            load.bytes += len(text)
            if load.timing and (mark := text.find(b"t=")) >= 0:
                sent = int(text[mark + 2 : mark + 21])
                load.times.append(Receipt(time.monotonic_ns() - sent, sent, self.number))
            load.delivered_to_one()
        elif not self.is_in and words["ready"] and text.startswith(words["ready"]):
            self._enter()
        elif words["ping"] and text == words["ping"]:
            self.put(TEXT, words["pong"])
        if self.is_waiting and text.startswith(words["answer"]):
            self.is_waiting = False
            load.answers += 1
            if load.running and not load.strict:
                self.send_next()

    def _enter(self) -> None:
        self.is_in = True
        self.load.entered += 1
        self.load.moved.set()

    def send_next(self) -> None:
        self.is_waiting = True
        self.put(TEXT, self.load.next_frame())

    def put(self, opcode: int, text: bytes) -> None:
        size = len(text)
        length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
        self.transport.write(bytes([0x80 | opcode]) + length + b"\0\0\0\0" + text)


async def open_all(load: Load, within: float) -> dict[str, Any]:
    loop, start, tasks = asyncio.get_running_loop(), time.monotonic(), set()
    waiting = iter(load.clients)
    launched = 0

    async def launch(client: Client) -> None:
        try:
            await loop.create_connection(lambda: client, "127.0.0.1", client.port)
        except OSError:
            client.lose()

    while load.entered + load.lost < len(load.clients) and time.monotonic() - start < within:
        while launched - load.entered - load.lost < load.in_flight:
            if (client := next(waiting, None)) is None:
                break
            launched += 1
            task = loop.create_task(launch(client))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        load.moved.clear()
        await _moved(load)
    return {
        "entered": load.entered,
        "lost": load.lost,
        "compressed": load.compressed,
        "seconds": time.monotonic() - start,
    }


async def _moved(load: Load) -> None:
    try:
        await asyncio.wait_for(load.moved.wait(), 1)
    except TimeoutError:
        return


async def settle(load: Load, within: float) -> None:
    until, quiet, before = time.monotonic() + within, 0.0, -1
    while (now := time.monotonic()) < until:
        counted = load.deliveries + load.answers
        if before != counted or any(client.is_waiting for client in load.clients):
            before, quiet = counted, now + 0.1
        elif now >= quiet:
            return
        await asyncio.sleep(0.02)


async def closed(load: Load, warm: float, seconds: float) -> dict[str, Any]:
    first = _counted(load)
    load.running = True
    if load.strict:
        load.send_to_all()
    else:
        for client in load.senders():
            client.send_next()
    await asyncio.sleep(warm)
    before, busy, start = _counted(load), _cpu(), time.monotonic()
    await asyncio.sleep(seconds)
    elapsed, busy, after = time.monotonic() - start, _cpu() - busy, _counted(load)
    load.running = False
    await settle(load, 2)
    last = _counted(load)
    return {
        "seconds": elapsed,
        "busy": busy,
        **{name: after[name] - before[name] for name in after},
        **{f"all_{name}": last[name] - first[name] for name in last},
        "lost": load.lost,
    }


def _counted(load: Load) -> dict[str, int]:
    return {"deliveries": load.deliveries, "answers": load.answers, "bytes": load.bytes}


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def paced(load: Load, rate: float, total: float, patience: float) -> dict[str, Any]:
    senders, before = load.senders(), load.deliveries
    wanted = sum(client.is_in for client in load.clients) * int(total)
    load.times, load.timing = [], True
    start = time.monotonic()
    for number in range(int(total)):
        await asyncio.sleep(max(0.0, start + number / rate - time.monotonic()))
        senders[number % len(senders)].send_next()
    until = time.monotonic() + patience
    while time.monotonic() < until and load.deliveries - before < wanted:
        await asyncio.sleep(0.005)
    elapsed = time.monotonic() - start
    load.timing = False
    await settle(load, 1)
    times = sorted(load.times)
    last = len(times) - 1
    marks = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    return {
        "seconds": elapsed,
        "deliveries": load.deliveries - before,
        "wanted": wanted,
        **{n: times[int(last * q)].after / 1e9 if times else -1 for n, q in marks.items()},
        "lost": load.lost,
    }


async def strict(load: Load, warm: float, seconds: float) -> dict[str, Any]:
    load.strict = True
    try:
        return await closed(load, warm, seconds)
    finally:
        load.strict = False


async def receipts(load: Load) -> dict[str, Any]:
    return {"receipts": [[one.client, one.sent, one.after] for one in load.times]}


COMMANDS: dict[str, Callable[..., Any]] = {
    "open": open_all,
    "closed": closed,
    "strict": strict,
    "paced": paced,
    "receipts": receipts,
}


async def handle(load: Load, line: str) -> None:
    word, _, rest = line.partition(" ")
    if word == "client":
        sends, _, path = rest.partition(" ")
        load.clients.append(Client(load, path, sends=sends == "1"))
    elif word in ("port", "padding", "in_flight", "offers"):
        setattr(load, word, int(rest))
    elif word == "frame":
        load.frame = rest
    elif word in load.words:
        load.words[word] = rest.encode()
    else:
        answer = await COMMANDS[word](load, *(float(part) for part in rest.split()))
        print(json.dumps(answer), flush=True)


async def main() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    load = Load()
    while line := await reader.readline():
        await handle(load, line.decode().rstrip("\n"))


if __name__ == "__main__":
    uvloop.run(main())
