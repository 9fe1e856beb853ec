"""Compares every frame that a test sends or receives with the AsyncAPI document.

Sockets are watched where bytes become frames, so also frames that a test never reads. Members that
the document does not name are errors here; clients ignore them (contract §3).
"""

import copy
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jsonschema_rs
import pytest
from websockets.asyncio.client import ClientConnection
from websockets.frames import CloseCode, Opcode
from websockets.frames import Frame as WebSocketFrame
from websockets.sync.client import ClientConnection as SyncClientConnection

from config.asyncapi.document import document
from config.asyncapi.frames import EVENTS_SOCKET, ROOM_SOCKET, Unions

from . import factories, raw_websocket

Schema = dict[str, Any]
Frame = dict[str, Any]

REFUSED = {"invalid", "bad_frame", "unknown_type", "frame_too_big", "rate_limited"}
"""Errors of a frame that the server did not execute because of its form, or did not read."""
CLOSED_NORMALLY = {CloseCode.NORMAL_CLOSURE, CloseCode.GOING_AWAY, CloseCode.NO_STATUS_RCVD}
MAX_KNOWN = 5000
"""Texts whose check is remembered: most arrive at many sockets."""


class Documented:
    """Validates frames of one direction of one kind of socket."""

    def __init__(self, union: str) -> None:
        whole = _closed(document()["components"])
        self._known: set[bytes] = set()
        self._by_type: dict[str, list[tuple[str, jsonschema_rs.Draft7Validator]]] = {}
        for option in whole["schemas"][union]["oneOf"]:
            name = option["$ref"].rpartition("/")[2]
            kind = whole["schemas"][name]["properties"].get("type", {}).get("const", "typing")
            validator = jsonschema_rs.Draft7Validator(
                {"components": whole, **option}, validate_formats=True
            )
            self._by_type.setdefault(kind, []).append((name, validator))

    def problem(self, text: bytes) -> str | None:
        """Returns what differs from the document, None for a documented frame."""
        if text in self._known:
            return None
        try:
            frame = json.loads(text)
        except (ValueError, RecursionError):
            return "is not JSON"
        if not isinstance(frame, dict):
            return "is not an object"
        kind = frame.get("type", "typing" if "typing" in frame else "message")
        problems = []
        for name, validator in self._by_type.get(str(kind), ()):
            if validator.is_valid(frame):
                self._remember(text)
                return None
            problems.append(f"{name}: {_first_error(validator, frame)}")
        return "; ".join(problems) or f"there is no frame of type {kind!r}"

    def _remember(self, text: bytes) -> None:
        if len(self._known) >= MAX_KNOWN:
            self._known.clear()
        self._known.add(text)


def _first_error(validator: jsonschema_rs.Draft7Validator, frame: Frame) -> str:
    try:
        return str(next(validator.iter_errors(frame)).message)
    except UnicodeEncodeError as error:  # half a surrogate pair
        return str(error)


def _closed(part: Any) -> Any:
    """Returns a copy of schemas in which objects have the named members only."""
    if isinstance(part, list):
        return [_closed(one) for one in part]
    if not isinstance(part, dict):
        return copy.deepcopy(part)
    closed = {name: _closed(one) for name, one in part.items()}
    if closed.get("type") == "object" and isinstance(closed.get("properties"), dict):
        closed.setdefault("additionalProperties", False)
    return closed


class Exchange:
    """The frames of one socket.

    What is sent against the document waits for the server's refusal.
    """

    def __init__(self, watch: "Watch", path: str) -> None:
        kind = EVENTS_SOCKET if path.lower().startswith("/ws/events") else ROOM_SOCKET
        self._watch = watch
        self._sent, self._received = watch.documented(kind)
        self.path = path.partition("?")[0]
        self.waiting: list[tuple[str, str]] = []
        """Each frame that is not documented, and what differs."""
        self._refused = False

    def sent(self, text: str | bytes) -> None:
        if self._refused:
            return
        raw = text.encode(errors="replace") if isinstance(text, str) else text
        problem = self._sent.problem(raw) if isinstance(text, str) else "is binary"
        if problem is not None:
            self.waiting.append((raw[:300].decode(errors="replace"), problem))

    def received(self, text: bytes) -> None:
        problem = self._received.problem(text)
        if problem is not None:
            self._watch.report(f"received on {self.path}: {problem}: {text[:500].decode()}")
        elif self.waiting and json.loads(text).get("code") in REFUSED:
            del self.waiting[0]

    def closed(self, code: int) -> None:
        """A close with an error refuses all frames before it, also those on their way."""
        if code not in CLOSED_NORMALLY:
            self._refused = True
            self.waiting.clear()


class Watch:
    """Collects the problems of one test."""

    def __init__(self) -> None:
        self._documented: dict[Unions, tuple[Documented, Documented]] = {}
        self._conversations: list[Exchange] = []
        self._problems: list[str] = []

    def documented(self, kind: Unions) -> tuple[Documented, Documented]:
        """Returns what validates client frames, and server frames."""
        if kind not in self._documented:
            self._documented[kind] = Documented(kind.client), Documented(kind.server)
        return self._documented[kind]

    def conversation_of(self, connection: Any) -> Exchange | None:
        """Returns the exchange of a client's connection, None if it is not with a chat."""
        found: Exchange | None = vars(connection).get("conversation")
        if found is None and connection.request.path.startswith("/ws/"):
            found = connection.conversation = Exchange(self, connection.request.path)
            self._conversations.append(found)
        return found

    def report(self, problem: str) -> None:
        self._problems.append(problem)

    def received_somewhere(self, text: bytes) -> None:
        """Checks a frame of a socket whose address is unknown."""
        problems = [self.documented(kind)[1].problem(text) for kind in (ROOM_SOCKET, EVENTS_SOCKET)]
        if None not in problems:
            self.report(f"received: {problems}: {text[:500].decode(errors='replace')}")

    def sent_somewhere(self, text: bytes) -> None:
        problems = [self.documented(kind)[0].problem(text) for kind in (ROOM_SOCKET, EVENTS_SOCKET)]
        if None not in problems:
            self.report(f"sent: {problems}: {text[:500].decode(errors='replace')}")

    def take_problems(self, *, ignore_sent: bool) -> list[str]:
        """Returns the problems since the last call."""
        problems, self._problems = self._problems, []
        conversations, self._conversations = self._conversations, []
        if not ignore_sent:
            problems += [
                f"sent on {one.path} and not refused: {problem}: {text}"
                for one in conversations
                for text, problem in one.waiting
            ]
        return problems


@contextmanager
def watching() -> Iterator[Watch]:
    """Watches the sockets of this process."""
    watch = Watch()
    with pytest.MonkeyPatch.context() as patch:
        for kind in (ClientConnection, SyncClientConnection):
            _watch_client(kind, watch, patch)
        _watch_lost_connections(watch, patch)
        _watch_raw_sockets(watch, patch)
        _watch_wires(watch, patch)
        yield watch


def _watch_client(kind: Any, watch: Watch, patch: pytest.MonkeyPatch) -> None:
    original_send, original_event = kind.send, kind.process_event

    def send(connection: Any, message: Any, *args: Any, **kwargs: Any) -> Any:
        if conversation := watch.conversation_of(connection):
            conversation.sent("".join(message) if isinstance(message, list) else message)
        return original_send(connection, message, *args, **kwargs)

    def process_event(connection: Any, event: Any) -> None:
        if isinstance(event, WebSocketFrame) and (
            conversation := watch.conversation_of(connection)
        ):
            if event.opcode is Opcode.TEXT:
                conversation.received(bytes(event.data))
            elif event.opcode is Opcode.CLOSE:
                conversation.closed(int.from_bytes(event.data[:2]) or CloseCode.NO_STATUS_RCVD)
        original_event(connection, event)

    patch.setattr(kind, "send", send)
    patch.setattr(kind, "process_event", process_event)


def _watch_lost_connections(watch: Watch, patch: pytest.MonkeyPatch) -> None:
    """Daphne cuts a connection without a close frame."""
    original = ClientConnection.connection_lost

    def connection_lost(connection: ClientConnection, reason: Exception | None) -> None:
        if connection.protocol.close_rcvd is None and (
            conversation := watch.conversation_of(connection)
        ):
            conversation.closed(CloseCode.ABNORMAL_CLOSURE)
        original(connection, reason)

    patch.setattr(ClientConnection, "connection_lost", connection_lost)


def _watch_raw_sockets(watch: Watch, patch: pytest.MonkeyPatch) -> None:
    feed, send = raw_websocket.Reader.feed, raw_websocket.RawSocket.send

    def watched_feed(reader: raw_websocket.Reader, data: bytes) -> Iterator[tuple[int, bytes]]:
        for opcode, payload in feed(reader, data):
            if opcode == raw_websocket.TEXT:
                watch.received_somewhere(payload)
            yield opcode, payload

    def watched_send(socket: raw_websocket.RawSocket, text: bytes) -> None:
        watch.sent_somewhere(text)
        send(socket, text)

    patch.setattr(raw_websocket.Reader, "feed", watched_feed)
    patch.setattr(raw_websocket.RawSocket, "send", watched_send)


def _watch_wires(watch: Watch, patch: pytest.MonkeyPatch) -> None:
    """Watches fake connections, where texts without a `type` stand for frames."""
    send, write = factories.Wire.send, factories.Wire._write

    def check(text: str | None) -> None:
        if text is not None and '"type":"' in text:
            watch.received_somewhere(text.encode())

    async def watched_send(wire: factories.Wire, event: Any) -> None:
        check(event.get("text"))
        await send(wire, event)

    def watched_write(wire: factories.Wire, data: bytes) -> None:
        for text in factories.texts_in(data):
            check(text)
        write(wire, data)

    patch.setattr(factories.Wire, "send", watched_send)
    patch.setattr(factories.Wire, "_write", watched_write)
