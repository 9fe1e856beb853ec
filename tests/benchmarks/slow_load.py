"""The load generator in Python, for where no C compiler is: `load.c` tells what it does and why."""

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


class Hearing(NamedTuple):
    after: int
    sent: int
    client: int


class Crowd:
    """All clients, what they say and what was counted."""

    def __init__(self) -> None:
        self.words = dict.fromkeys(("ready", "heard", "answer", "hello", "ping", "pong"), b"")
        self.frame = ""
        self.port = self.padding = self.number = 0
        self.in_flight = 64
        self.offers = self.compressed = self.owed = 0
        self.strict = False
        self.clients: list[Client] = []
        self.entered = self.lost = 0
        self.deliveries = self.answers = self.bytes = 0
        self.running = False
        self.times: list[Hearing] = []
        self.timing = False
        self.moved = asyncio.Event()

    def speech(self) -> bytes:
        text = f"t={time.monotonic_ns():019d};".ljust(self.padding, "x")
        self.number += 1
        return self.frame.replace("$T", text).replace("$I", str(self.number)).encode()

    def speak_to_all(self) -> None:
        self.owed = sum(client.is_in for client in self.clients)
        self.speakers()[0].speak()

    def heard_by_one(self) -> None:
        """In a strict loop the next message waits until all have the last."""
        self.owed -= 1
        if self.strict and self.running and self.owed == 0:
            self.speak_to_all()

    def speakers(self) -> "list[Client]":
        return [client for client in self.clients if client.speaks and client.is_in]


class Client(asyncio.Protocol):
    def __init__(self, crowd: Crowd, path: str, *, speaks: bool) -> None:
        self.crowd = crowd
        self.port = crowd.port
        self.number = len(crowd.clients)
        self.path = path
        self.speaks = speaks
        self.is_in = self.is_shaking = self.is_lost = self.is_waiting = False
        self.rest = b""

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's.
        self.transport = cast(asyncio.Transport, transport)
        self.is_shaking = True
        offer = OFFER if self.crowd.offers else ""
        head = HANDSHAKE.format(path=self.path, port=self.port, offer=offer)
        self.transport.write(head.encode())

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self.lose()

    def lose(self) -> None:
        if not self.is_lost:
            self.is_lost, self.is_in, self.is_waiting = True, False, False
            self.crowd.lost += 1
            self.crowd.moved.set()

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
        self.crowd.compressed += b"permessage-deflate" in data[:end]
        if data[9:12] != b"101":
            self.transport.abort()
        elif self.crowd.words["hello"]:
            self.put(TEXT, self.crowd.words["hello"])
        if not self.crowd.words["ready"]:
            self._enter()
        return end + 4

    def _frames(self, data: bytes, at: int) -> int:
        """Takes whole frames from `at` on; returns where the first that is not whole begins."""
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
        self.crowd.deliveries += 1
        self.crowd.bytes += size

    def _take(self, opcode: int, text: bytes) -> None:
        crowd, words = self.crowd, self.crowd.words
        if opcode == PING:
            self.put(PONG, text)
        elif opcode == CLOSE:
            self.transport.abort()
        elif text.startswith(words["heard"]):
            crowd.deliveries += 1
            crowd.bytes += len(text)
            if crowd.timing and (mark := text.find(b"t=")) >= 0:
                sent = int(text[mark + 2 : mark + 21])
                crowd.times.append(Hearing(time.monotonic_ns() - sent, sent, self.number))
            crowd.heard_by_one()
        elif not self.is_in and words["ready"] and text.startswith(words["ready"]):
            self._enter()
        elif words["ping"] and text == words["ping"]:
            self.put(TEXT, words["pong"])
        if self.is_waiting and text.startswith(words["answer"]):
            self.is_waiting = False
            crowd.answers += 1
            if crowd.running and not crowd.strict:
                self.speak()

    def _enter(self) -> None:
        self.is_in = True
        self.crowd.entered += 1
        self.crowd.moved.set()

    def speak(self) -> None:
        self.is_waiting = True
        self.put(TEXT, self.crowd.speech())

    def put(self, opcode: int, text: bytes) -> None:
        size = len(text)
        length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
        self.transport.write(bytes([0x80 | opcode]) + length + b"\0\0\0\0" + text)


async def open_all(crowd: Crowd, within: float) -> dict[str, Any]:
    loop, start, tasks = asyncio.get_running_loop(), time.monotonic(), set()
    waiting = iter(crowd.clients)
    launched = 0

    async def launch(client: Client) -> None:
        try:
            await loop.create_connection(lambda: client, "127.0.0.1", client.port)
        except OSError:
            client.lose()

    while crowd.entered + crowd.lost < len(crowd.clients) and time.monotonic() - start < within:
        while launched - crowd.entered - crowd.lost < crowd.in_flight:
            if (client := next(waiting, None)) is None:
                break
            launched += 1
            task = loop.create_task(launch(client))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        crowd.moved.clear()
        await _moved(crowd)
    return {
        "entered": crowd.entered,
        "lost": crowd.lost,
        "compressed": crowd.compressed,
        "seconds": time.monotonic() - start,
    }


async def _moved(crowd: Crowd) -> None:
    try:
        await asyncio.wait_for(crowd.moved.wait(), 1)
    except TimeoutError:
        return


async def settle(crowd: Crowd, within: float) -> None:
    until, quiet, before = time.monotonic() + within, 0.0, -1
    while (now := time.monotonic()) < until:
        counted = crowd.deliveries + crowd.answers
        if before != counted or any(client.is_waiting for client in crowd.clients):
            before, quiet = counted, now + 0.1
        elif now >= quiet:
            return
        await asyncio.sleep(0.02)


async def closed(crowd: Crowd, warm: float, seconds: float) -> dict[str, Any]:
    first = _counted(crowd)
    crowd.running = True
    if crowd.strict:
        crowd.speak_to_all()
    else:
        for client in crowd.speakers():
            client.speak()
    await asyncio.sleep(warm)
    before, busy, start = _counted(crowd), _cpu(), time.monotonic()
    await asyncio.sleep(seconds)
    elapsed, busy, after = time.monotonic() - start, _cpu() - busy, _counted(crowd)
    crowd.running = False
    await settle(crowd, 2)
    last = _counted(crowd)
    return {
        "seconds": elapsed,
        "busy": busy,
        **{name: after[name] - before[name] for name in after},
        **{f"all_{name}": last[name] - first[name] for name in last},
        "lost": crowd.lost,
    }


def _counted(crowd: Crowd) -> dict[str, int]:
    return {"deliveries": crowd.deliveries, "answers": crowd.answers, "bytes": crowd.bytes}


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def paced(crowd: Crowd, rate: float, total: float, patience: float) -> dict[str, Any]:
    speakers, before = crowd.speakers(), crowd.deliveries
    wanted = sum(client.is_in for client in crowd.clients) * int(total)
    crowd.times, crowd.timing = [], True
    start = time.monotonic()
    for number in range(int(total)):
        await asyncio.sleep(max(0.0, start + number / rate - time.monotonic()))
        speakers[number % len(speakers)].speak()
    until = time.monotonic() + patience
    while time.monotonic() < until and crowd.deliveries - before < wanted:
        await asyncio.sleep(0.005)
    elapsed = time.monotonic() - start
    crowd.timing = False
    await settle(crowd, 1)
    times = sorted(crowd.times)
    last = len(times) - 1
    marks = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    return {
        "seconds": elapsed,
        "deliveries": crowd.deliveries - before,
        "wanted": wanted,
        **{n: times[int(last * q)].after / 1e9 if times else -1 for n, q in marks.items()},
        "lost": crowd.lost,
    }


async def strict(crowd: Crowd, warm: float, seconds: float) -> dict[str, Any]:
    crowd.strict = True
    try:
        return await closed(crowd, warm, seconds)
    finally:
        crowd.strict = False


async def hearings(crowd: Crowd) -> dict[str, Any]:
    return {"hearings": [[one.client, one.sent, one.after] for one in crowd.times]}


COMMANDS: dict[str, Callable[..., Any]] = {
    "open": open_all,
    "closed": closed,
    "strict": strict,
    "paced": paced,
    "hearings": hearings,
}


async def obey(crowd: Crowd, line: str) -> None:
    word, _, rest = line.partition(" ")
    if word == "client":
        speaks, _, path = rest.partition(" ")
        crowd.clients.append(Client(crowd, path, speaks=speaks == "1"))
    elif word in ("port", "padding", "in_flight", "offers"):
        setattr(crowd, word, int(rest))
    elif word == "frame":
        crowd.frame = rest
    elif word in crowd.words:
        crowd.words[word] = rest.encode()
    else:
        answer = await COMMANDS[word](crowd, *(float(part) for part in rest.split()))
        print(json.dumps(answer), flush=True)


async def main() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    crowd = Crowd()
    while line := await reader.readline():
        await obey(crowd, line.decode().rstrip("\n"))


if __name__ == "__main__":
    uvloop.run(main())
