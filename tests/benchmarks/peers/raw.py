"""Sends each text to every socket of its path: the ceiling for ASGI."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

Send = Callable[[dict[str, Any]], Awaitable[None]]

rooms: dict[str, set[Send]] = {}


async def application(
    scope: dict[str, Any], receive: Callable[[], Awaitable[dict[str, Any]]], send: Send
) -> None:
    if scope["type"] != "websocket":
        return
    await receive()
    await send({"type": "websocket.accept"})
    room = rooms.setdefault(scope["path"], set())
    room.add(send)
    try:
        while (event := await receive())["type"] == "websocket.receive":
            await _send(room, event["text"])
    finally:
        room.discard(send)


async def _send(room: set[Send], text: str) -> None:
    event = {"type": "websocket.send", "text": text}
    for send in list(room):
        # This peer has just disconnected: its own task removes it.
        with suppress(Exception):
            await send(event)
