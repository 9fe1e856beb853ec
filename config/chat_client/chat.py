"""Runs one user in one room: shows frames, sends typed lines, reconnects.

It follows docs/websocket.md, "Reconnecting".
"""

import asyncio
import json
import random
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from .account import Account
from .close_codes import After, after_close
from .keyboard import Keyboard
from .lines import Lines
from .rest import Refused, Rest, Unreachable
from .room import RoomAddress
from .screen import Screen
from .send_queue import SendQueue

Frame = dict[str, Any]

MIN_DELAY, MAX_DELAY = 0.5, 10.0
"""Bounds of the seconds between two attempts to connect. Short, because a user waits."""
ACK_TIMEOUT = 30.0
DRAIN_TIMEOUT = 60.0
"""Seconds without progress after which the client ends without the missing acknowledgements."""
HISTORY = 20
MAX_REMEMBERED = 1000
"""Messages whose version is kept, so that none is shown twice."""
RETRYABLE = ("rate_limited", "busy", "internal")
UNREADABLE = ("bad_frame", "frame_too_big", "invalid")
"""Errors about a frame whose `ref` the server may not have read."""
TYPING_REF = "typing"
HELP = (
    "Type a line and press Enter to send it.",
    "/typing        shows the others that you are typing",
    "/members       lists the members of the room and who is online",
    "/history [n]   shows the last messages, at most 200",
    "/quit          leaves the chat; so do Ctrl-D and Ctrl-C",
    "//text         sends a message that begins with /",
)


class Stop(Exception):
    """Ends the client. The text, if any, is the reason."""


class Chat:
    """Connects the keyboard, the screen and the socket of one room."""

    def __init__(self, rest: Rest, account: Account, room: RoomAddress, screen: Screen) -> None:
        self._rest, self._account, self._room, self._screen = rest, account, room, screen
        self._queue = SendQueue()
        self._keyboard = Keyboard(screen.show_typed, self._interrupted)
        self._lines = Lines(account.username)
        self._socket: ClientConnection | None = None
        self._room_id = 0
        self._version: int | None = None
        self._shown: OrderedDict[int, int] = OrderedDict()
        self._answer: asyncio.Future[float | None] | None = None
        self._entered = asyncio.Event()
        self._failures = 0
        self._renewed = False
        self._error: Frame = {}
        self._commands: dict[str, Callable[[str], Awaitable[None]]] = {
            "/typing": self._typing,
            "/members": self._members,
            "/history": self._history,
            "/help": self._help,
        }
        self._main: asyncio.Task[str] | None = None

    async def run(self) -> int:
        """Runs until the user or the server ends it, and returns the exit status.

        It is 1 when the server refused, or when a message was not acknowledged.
        """
        with self._keyboard.open():
            self._main = asyncio.create_task(self._until_done())
            reason = ""
            with suppress(asyncio.CancelledError):
                reason = await self._main
        self._screen.close()
        if self._queue:
            lost = f"{len(self._queue)} of your messages were not acknowledged"
            reason = f"{reason}. {lost}" if reason else lost
        if reason:
            self._screen.show(f"!! {reason}")
        return 1 if reason else 0

    async def _until_done(self) -> str:
        """Returns why the server ended the chat; empty when the user did."""
        tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._stay_connected())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        except Stop as stop:
            return str(stop)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return ""

    def _interrupted(self) -> None:
        if self._main is not None:
            self._main.cancel()

    # The connection

    async def _stay_connected(self) -> None:
        """Connects, and reconnects after each disconnect. Raises Stop."""
        while True:
            retry_after = await self._try_to_connect()
            if retry_after is None:
                continue
            if self._failures == 0:
                reason = self._error.get("message")
                self._screen.show(
                    f"-- Not connected{f': {reason}' if reason else ''}. Reconnecting ..."
                )
            await asyncio.sleep(self._delay(retry_after))

    async def _try_to_connect(self) -> float | None:
        """Connects once. Returns the delay before the next attempt. Raises Stop."""
        try:
            await self._connect()
            return await self._closed()
        except InvalidStatus as error:
            status = error.response.status_code
            if not _is_temporary(status):
                raise Stop(f"No chat server at {self._rest.url} (HTTP {status})") from None
        except (OSError, TimeoutError, InvalidHandshake, Unreachable):
            pass  # The server or the network is away: the caller tries again.
        except Refused as refusal:
            if not _is_temporary(refusal.status):
                raise Stop(f"Cannot log in again: {refusal}") from None
        return 0.0

    async def _connect(self) -> None:
        """Holds one connection, from its handshake to its end."""
        since = "" if self._version is None else "?" + urlencode({"since": self._version})
        self._error = {}
        async with connect(
            f"{self._rest.websocket_url}{self._room.path}{since}",
            additional_headers={"Authorization": f"Bearer {self._account.access}"},
            compression=None,
            close_timeout=2,
            proxy=None,
        ) as socket:
            self._socket = socket
            await self._receive_until_closed(socket)
        self._close_code = socket.close_code or 1006

    async def _receive_until_closed(self, socket: ClientConnection) -> None:
        """Handles each received frame, and sends queued messages after `ready`."""
        sending: asyncio.Task[None] | None = None
        try:
            async for text in socket:
                frame = json.loads(text)
                if frame["type"] == "ready":
                    await self._ready(frame)
                    sending = asyncio.create_task(self._send(socket))
                else:
                    await self._receive(frame)
        except ConnectionClosed:
            pass  # The close code says why: `_closed` reads it.
        finally:
            if sending is not None:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)

    async def _closed(self) -> float | None:
        """Returns the seconds to wait after a disconnect, or None to reconnect at once.

        Raises Stop; Refused or Unreachable when it cannot get new tokens.
        """
        code: str = self._error.get("code", "")
        match after_close(self._close_code, code):
            case After.STOP:
                sentence = self._error.get("message", "You have left the room")
                hint = self._room.hint(code)
                raise Stop(f"{sentence}. {hint}" if hint else sentence)
            case After.RENEW:
                await asyncio.to_thread(self._account.renew)
                # At once only the first time: a server may refuse the new tokens too.
                at_once, self._renewed = not self._renewed, True
                if at_once:
                    return None
            case After.RECONNECT:
                pass
        return float(self._error.get("retry_after") or 0.0)

    def _delay(self, retry_after: float) -> float:
        """Returns a delay with full jitter, so that clients do not reconnect all at once."""
        limit = min(MAX_DELAY, MIN_DELAY * 2**self._failures)
        self._failures = min(self._failures + 1, 10)
        return retry_after + random.uniform(0, limit)  # noqa: S311 - no secret

    # Sending

    async def _send(self, socket: ClientConnection) -> None:
        """Sends queued messages one by one; an unacknowledged one is sent again later."""
        with suppress(ConnectionClosed):
            while True:
                message = await self._queue.first()
                self._answer = asyncio.get_running_loop().create_future()
                await socket.send(json.dumps(message.frame()))
                try:
                    async with asyncio.timeout(ACK_TIMEOUT):
                        retry_after = await self._answer
                except TimeoutError:
                    socket.transport.abort()
                    return
                if retry_after is None:
                    await self._queue.remove_first()
                else:
                    await asyncio.sleep(retry_after)

    async def _send_frame(self, **frame: Any) -> None:
        if self._socket is not None:
            with suppress(ConnectionClosed):
                await self._socket.send(json.dumps(frame))

    def _settle(self, retry_after: float | None) -> None:
        """Settles the message in flight.

        Returns None when done, else seconds until it is sent again.
        """
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(retry_after)

    # Receiving

    async def _ready(self, frame: Frame) -> None:
        if self._version is None:
            self._version, self._room_id = frame["version"], frame["room"]["id"]
            await self._show_history(HISTORY)
            self._screen.show(self._lines.ready(frame))
        elif self._failures:
            self._screen.show("-- Connected again")
        self._failures, self._renewed = 0, False
        self._entered.set()

    async def _receive(self, frame: Frame) -> None:
        self._error = {}
        match frame["type"]:
            case "message" | "edit" | "delete" | "reaction":
                self._show_message(frame, frame["message"])
            case "ack":
                self._settle(None)
            case "error":
                self._refused(frame)
            case "resumed":
                self._version = frame["to"]
                if not frame["complete"]:
                    self._screen.show(
                        "-- You missed more messages than the server replays. The latest:"
                    )
                    await self._show_history(HISTORY)
            case _:
                line = self._lines.event(frame)
                if line:
                    self._screen.show(line)

    def _show_message(self, message: Frame, text: str) -> None:
        own_room = message["room_id"] == self._room_id
        if own_room:
            self._version = max(self._version or 0, message["version"])
        if self._shown.get(message["id"], 0) >= message["version"]:
            return
        self._shown[message["id"]] = message["version"]
        if len(self._shown) > MAX_REMEMBERED:
            self._shown.popitem(last=False)
        self._screen.show(self._lines.message(message, text, private=not own_room))

    def _refused(self, frame: Frame) -> None:
        """Handles an error about a frame or, before a close, about the connection."""
        self._error = frame
        ref, code = frame.get("ref"), frame["code"]
        if ref is None and code not in (*RETRYABLE, *UNREADABLE):
            return  # about the connection: the next one sends the message in flight again
        if ref != TYPING_REF and code in RETRYABLE:
            self._settle(float(frame.get("retry_after") or 1.0))
        elif ref != TYPING_REF and self._answer is not None and not self._answer.done():
            self._screen.show(f"!! Not sent: {frame['message']}")
            self._settle(None)

    async def _show_history(self, count: int) -> None:
        path = f"/rooms/{self._room_id}/messages?limit={count}"
        try:
            messages = await asyncio.to_thread(self._account.call, "GET", path)
        except (Refused, Unreachable) as error:
            self._screen.show(f"!! No history: {error}")
            return
        for message in messages:
            self._show_message(message, message["content"])

    # What the user types

    async def _read(self) -> None:
        """Handles typed lines until /quit, then waits for all acknowledgements.

        Raises Stop.
        """
        while True:
            line = await self._keyboard.line()
            if line is None or line.strip() == "/quit":
                break
            await self._handle_line(line)
        try:
            async with asyncio.timeout(DRAIN_TIMEOUT):
                await self._entered.wait()
        except TimeoutError:
            raise Stop(f"{self._rest.url} did not accept the connection") from None
        if self._queue and self._failures:
            self._screen.show("-- Waiting for acknowledgements; Ctrl-C stops waiting")
        await self._queue.drain(DRAIN_TIMEOUT)

    async def _handle_line(self, line: str) -> None:
        command, _, rest = line.strip().partition(" ")
        if line.startswith("//"):
            await self._send_text(line[1:])
        elif command in self._commands:
            await self._commands[command](rest)
        elif command.startswith("/"):
            self._screen.show(f"!! Unknown command {command}. /help lists the commands")
        elif line.strip():
            await self._send_text(line)

    async def _send_text(self, text: str) -> None:
        if self._failures:
            self._screen.show(f"-- Sent when connected again: {text}")
        await self._queue.put(text)

    async def _typing(self, _: str) -> None:
        await self._entered.wait()
        await self._send_frame(type="typing", typing=True, ref=TYPING_REF)

    async def _help(self, _: str) -> None:
        for line in HELP:
            self._screen.show(f"   {line}")

    async def _history(self, rest: str) -> None:
        await self._entered.wait()
        count = int(rest) if rest.isascii() and rest.isdigit() else HISTORY
        self._shown.clear()
        await self._show_history(max(1, min(count, 200)))

    async def _members(self, _: str) -> None:
        await self._entered.wait()
        path = f"/rooms/{self._room_id}/members?limit=200"
        try:
            members = await asyncio.to_thread(self._account.call, "GET", path)
        except (Refused, Unreachable) as error:
            self._screen.show(f"!! No members: {error}")
            return
        for member in members:
            self._screen.show(self._lines.member(member))


def _is_temporary(status: int) -> bool:
    """Returns whether the same request may succeed later."""
    return status >= 500 or status == 429  # noqa: PLR2004
