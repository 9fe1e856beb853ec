"""Scenario: many uploads at once, and what the messages of a room notice of them."""

import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import httpx

from tests.pictures import exif, picture

from . import cpu_affinity
from .load import Load
from .runner import LATENCY_MEMBERS, Runner, big_room
from .systems import PRODUCT, Running, System

RATE = 25
UPLOADERS = 50
UPLOAD = f"{UPLOADERS} uploads at once, {RATE} messages/s × {LATENCY_MEMBERS}"


def upload(runner: Runner) -> None:
    """Fifty members upload photos without a pause while messages flow in their room."""
    room = big_room(LATENCY_MEMBERS)
    for server in runner.servers:
        with runner.serving(System(PRODUCT, server), [room]) as one, one.load() as load:
            load.open()
            load.paced(RATE, RATE)  # the first messages of a room are slower
            for _ in range(runner.rounds):
                _measure(runner, one, load, one.tokens[room.name][:UPLOADERS])


def _measure(runner: Runner, one: Running, load: Load, tokens: list[str]) -> None:
    messages = RATE * (4 if runner.quick else 10)
    photo = picture("JPEG", (1600, 1200), exif=exif(), quality=90)
    idle = load.paced(RATE, messages)
    stopping, start = Event(), time.monotonic()
    with ThreadPoolExecutor(UPLOADERS) as pool:
        uploads = [pool.submit(_uploads, one, token, photo, stopping) for token in tokens]
        busy = load.paced(RATE, messages)
        stopping.set()
        files = sum(stored.result() for stored in uploads)
    elapsed = time.monotonic() - start
    runner.add(UPLOAD, "files/s", one.system, files / elapsed)
    runner.add(UPLOAD, "p99 ms without uploads", one.system, idle["p99"] * 1000)
    runner.add(UPLOAD, "p99 ms with uploads", one.system, busy["p99"] * 1000)


def _uploads(one: Running, token: str, photo: bytes, stopping: Event) -> int:
    """Uploads until the end; returns how many files were stored. Waits while it is refused."""
    stored = 0
    pinned = cpu_affinity.pinned(cpu_affinity.LOAD)  # this thread: not on the server's core
    with (
        pinned,
        httpx.Client(
            base_url=f"http://127.0.0.1:{one.port}/api",
            headers={"Authorization": f"Bearer {token}"},
            timeout=60,
            verify=False,  # plain HTTP: fifty clients would load all certificates
        ) as client,
    ):
        while not stopping.is_set():
            answer = client.post("/attachments", files={"file": ("photo.jpg", photo)})
            if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
                stopping.wait(float(answer.headers["Retry-After"]))
                continue
            answer.raise_for_status()
            stored += 1
    return stored
