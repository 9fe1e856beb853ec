"""Invalid input gets a 4xx or an error frame, and other clients notice nothing.

The REST half walks the OpenAPI document, so it covers new fields and operations by itself.
"""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from typing_extensions import override
from websockets.exceptions import ConnectionClosed

from tests.clients import PASSWORD, Frame, Person, Socket, fresh, opened, rest
from tests.conftest import Register
from tests.servers import Server

DEEP = 5_000
# Longer than every field, and short enough for a frame or an unauthenticated body.
LONG = "x" * 60_000
NOWHERE = "999999999"
# Operations without authentication; `logout` takes a token in its body instead.
OPEN_TO_ALL = {"/register", "/login", "/logout", "/token/refresh", "/token/verify"}
METHODS = ("get", "post", "put", "patch", "delete")
Schema = dict[str, Any]

each_server_and_database = pytest.mark.parametrize(
    "server", ["daphne", "uvicorn on PostgreSQL"], indirect=True
)
"""For sweeps of hundreds of requests: a third server has no other code for them."""

# Raw JSON values that are invalid everywhere in a client's input.
NOT_JSON = {
    "NaN": "NaN",
    "Infinity": "Infinity",
    "-Infinity": "-Infinity",
    "a number of 5,000 digits": "1" * 5000,
    "a lone high surrogate": r'"\ud800"',
    "a lone low surrogate": r'"a\udc00b"',
    "surrogates in the wrong order": r'"\udc00\ud800"',
    "deep arrays": "[" * DEEP + "]" * DEEP,
    "deep objects": '{"a":' * DEEP + "1" + "}" * DEEP,
    "deep and never closed": "[" * DEEP,
    "a control character": '"\x01"',
    "a wrong escape": r'"\x41"',
    "nothing": "",
}
IN_FIELDS = ("NaN", "Infinity", "a number of 5,000 digits", "a lone high surrogate", "deep arrays")
# Valid values of each JSON type, for fields of another type.
OF_TYPE = {
    "null": ["null"],
    "boolean": ["true"],
    "integer": ["7"],
    "number": ["1.5", "-1e300", "1e400"],
    "string": ['"7"'],
    "array": ["[]", "[[]]", '["a", 1]'],
    "object": ["{}", '{"a": 1}'],
}
HOSTILE_TEXT = [json.dumps(LONG), r'"\u0000"', r'"a\u0000b"']
HOSTILE_NUMBERS = [str(2**70), str(-(2**70)), str(2**63), "-1", "1e400"]
HOSTILE_PATHS = {
    "integer": [
        "0",
        "-1",
        "1.5",
        "abc",
        str(2**63),
        str(2**70),
        "1" * 5000,
        "NaN",
        "%00",
        "%FF",
        "%20",
    ],
    "string": [
        "%00",
        "a%00b",
        "x" * 5000,
        "%FF",
        "%ED%A0%80",
        "%20",
        "%0A",
        "..%2F..",
        "%F0%9F%98%80",
    ],
}
# Never a username, room name or reaction; the other values may be one, or are not found.
NEVER = {"%00", "a%00b", "x" * 5000}


def encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


NO_CURSORS: list[Any] = [None, 1, "n", [], {}, ["n"], ["x", 1], ["n", None], ["n", {}]]
HOSTILE_CURSORS = [
    *("%", "x", "=", "AAAA", "é", "\x00", "x" * 5000),
    *(encoded(value) for value in NO_CURSORS),
    *(encoded(["n", value]) for value in (2**70, 1.5, True, "\x00", "\ud800", [1])),
    encoded(["p", 1, 2, 3]),
    base64.urlsafe_b64encode(b"[" * 280).decode(),
    base64.urlsafe_b64encode(b"\xff\xfe").decode(),
    base64.urlsafe_b64encode(b'["n", NaN]').decode(),
    base64.urlsafe_b64encode(b'["n", 1e400]').decode(),
]
NUMERIC_CURSORS = [
    encoded([direction, *values])
    for direction in "np"
    for values in ([2**63 - 1], [1 - 2**63], ["9" * 30], ["-1"], ["9" * 30] * 2, ["x", "9" * 30])
]
"""May be refused, or lead to a page without rows."""


# Reading the document


JSON = "application/json"


@dataclass(frozen=True)
class Operation:
    method: str
    path: str
    body: Schema | None
    body_required: bool
    parameters: list[Schema]
    statuses: frozenset[int]
    for_strangers: bool

    @override
    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def read(document: Schema) -> Iterator[Operation]:
    def resolved(schema: Schema) -> Schema:
        options = [schema, *schema.get("anyOf", []), *schema.get("allOf", [])]
        for option in options:
            if "$ref" in option:
                found: Schema = document["components"]["schemas"][option["$ref"].rpartition("/")[2]]
                return found
        return schema

    for path, methods in document["paths"].items():
        for method in METHODS:
            if method not in methods:
                continue
            found = methods[method]
            body = found.get("requestBody")
            yield Operation(
                method.upper(),
                path.removeprefix("/api"),
                resolved(body["content"][JSON]["schema"])
                if body and JSON in body["content"]
                else None,
                bool(body and body.get("required")),
                found.get("parameters", []),
                frozenset(int(status) for status in found["responses"]),
                {} in (found["security"] or [{}]),  # an empty list: no token required
            )


def types_of(schema: Schema) -> set[str]:
    """Returns the JSON types that a field accepts."""
    options = schema.get("anyOf", [schema])
    names = {option.get("type", "string") for option in options}
    return names | ({"number"} if "number" in names else set())


def wrong_values(schema: Schema) -> Iterator[str]:
    """Returns raw JSON values that a field must reject."""
    allowed = types_of(schema)
    for kind, values in OF_TYPE.items():
        if kind not in allowed:
            yield from values
    if "string" in allowed:
        yield from HOSTILE_TEXT
    yield from HOSTILE_NUMBERS
    if "array" in allowed:
        for value in ("null", "true", "1.5", "{}", "[[]]", "0", "-1", str(2**70), *HOSTILE_TEXT):
            yield f"[{value}]"


def with_member(body: Schema, name: str, raw: str) -> str:
    """Returns a body as JSON text with one raw member."""
    rest = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in body.items() if key != name]
    return "{" + ", ".join([*rest, f"{json.dumps(name)}: {raw}"]) + "}"


# Sending


class Walk:
    """Sends invalid requests and collects those that were accepted."""

    def __init__(self, person: Person, good: dict[str, Any]) -> None:
        self._http = person.http
        self._good = good
        self._at_once = asyncio.Semaphore(8)
        self.wrong: list[str] = []
        self.count = 0

    def url(self, operation: Operation, **replaced: str) -> str:
        path = operation.path
        for name, value in (self._good | replaced).items():
            path = path.replace(f"{{{name}}}", str(value))
        return path

    async def refuse(
        self,
        operation: Operation,
        url: str,
        content: bytes | None,
        note: str,
        statuses: frozenset[int] = frozenset(range(400, 500)),
    ) -> None:
        """Sends one request; its answer must have one of the statuses, in our shape."""
        async with self._at_once:
            answer = await self._send(operation, url, content)
        self.count += 1
        problem = check(answer, operation, statuses)
        if problem:
            self.wrong.append(f"{operation} {note[:80]}: {problem}: {answer.text[:300]}")

    async def ask(self, operation: Operation, content: bytes) -> httpx.Response:
        """Returns the answer to one request at a valid URL."""
        return await self._send(operation, self.url(operation), content)

    async def _send(self, operation: Operation, url: str, content: bytes | None) -> httpx.Response:
        headers = {"Content-Type": "application/json"} if content is not None else {}
        request = self._http.build_request(operation.method, url, content=content, headers=headers)
        return await self._http.send(request)


def check(answer: httpx.Response, operation: Operation, statuses: frozenset[int]) -> str | None:
    """Returns what is wrong with an answer, or None."""
    if "Traceback" in answer.text:
        return "a traceback"
    if answer.status_code not in statuses:
        return f"{answer.status_code} is not among the statuses that fit"
    # A 404 for an invalid URL needs no declaration.
    if answer.status_code not in operation.statuses | {404}:
        return f"{answer.status_code} is not declared"
    if answer.status_code < 400:
        return None
    return check_error(answer)


def check_error(answer: httpx.Response) -> str | None:
    """Returns what is wrong with the shape of an error."""
    if not answer.headers.get("Content-Type", "").startswith("application/json"):
        return "no JSON"
    body = answer.json()
    if not all(body.get(name) and isinstance(body[name], str) for name in ("code", "detail")):
        return "no code and detail"
    if answer.status_code == 422 and not all(
        set(one) == {"loc", "msg", "type"} for one in body.get("errors") or [{}]
    ):
        return "no errors beside a 422"
    return None


@pytest.fixture
async def calm(server: Server) -> AsyncIterator[None]:
    """Expects no traceback in the server's log after each test."""
    before = len(server.log.read_bytes())
    yield
    logged = server.log.read_bytes()[before:].decode(errors="replace")
    assert "Traceback" not in logged, logged[-3000:]
    assert "Unexpected error" not in logged, logged[-3000:]


async def start_walk(person: Register) -> tuple[Walk, list[Operation]]:
    ila, kaushal = await person(), await person()
    body = {"name": fresh("walk"), "kind": "group", "members": [kaushal.username]}
    room = (await ila.post("/rooms", body)).json()
    path = f"/rooms/{room['id']}/messages"
    message = (await ila.post(path, {"content": "hey"})).json()
    good = {
        "room_id": room["id"],
        "message_id": message["id"],
        "room_name": room["name"],
        "username": kaushal.username,
        "session_id": 2**40,
        "attachment_id": 2**40,
        "emoji": quote("👍"),
    }
    document = (await ila.get("/openapi.json")).json()
    return Walk(ila, good), list(read(document))


def good_body(operation: Operation) -> Schema:
    """Returns a valid body, except for what the test changes."""
    assert operation.body is not None
    body: Schema = dict(operation.body.get("example", {}))
    for name in ("username", "name"):
        if name in body:
            body[name] = fresh("good")
    if "email" in body:
        body["email"] = f"{fresh('good')}@example.com"
    if "members" in body:
        body["members"] = []
    for name in ("password", "old_password", "new_password"):
        if name in body:
            body[name] = PASSWORD
    return body


@each_server_and_database
async def test_invalid_values_are_rejected_in_every_body_field(
    person: Register, calm: None
) -> None:
    walk, operations = await start_walk(person)
    tries = []
    for operation in operations:
        if operation.body is None:
            continue
        url, fields = walk.url(operation), operation.body["properties"]
        for name, schema in fields.items():
            bodies = [(value, frozenset({422})) for value in wrong_values(schema)]
            bodies += [(NOT_JSON[which], frozenset({400})) for which in IN_FIELDS]
            for value, statuses in bodies:
                content = with_member(good_body(operation), name, value).encode()
                note = f"{name} = {value}"
                tries.append(walk.refuse(operation, url, content, note, statuses))
            # Empty or odd but perhaps valid: any declared status, and no 500.
            fine = frozenset(range(200, 500))
            for value in ('""', r'"\u202e\ufeff"', r'"\ud83d\ude00"', '"\\\\ \' ; -- %s {0}"'):
                if "string" in types_of(schema):
                    content = with_member(good_body(operation), name, value).encode()
                    tries.append(walk.refuse(operation, url, content, f"{name} = {value}", fine))
    await asyncio.gather(*tries)
    assert not walk.wrong, "\n".join(walk.wrong[:40])
    assert walk.count > 500


async def test_body_of_the_wrong_type_is_rejected(person: Register, calm: None) -> None:
    walk, operations = await start_walk(person)
    tries = []
    for operation in operations:
        if operation.body is None:
            continue
        url, good = walk.url(operation), good_body(operation)
        bodies: list[tuple[bytes, *tuple[int, ...]]] = [
            (value.encode(), 400) for note, value in NOT_JSON.items() if value
        ]
        bodies += [
            (value, 400)
            for value in (
                *(b"{", b"not json", b"{'a': 1}", b"{}{}", b"username=ila", b"\x00", b"//"),
                *(
                    b'{"a": "\xff\xfe"}',
                    b"\xed\xa0\x80",
                    b'"\xc0\x80"',
                    json.dumps(good).encode("utf-16"),
                ),
                json.dumps(good).encode()[:-1],
            )
        ]
        bodies += [(value, 422) for value in (b"7", b"1.5", b'"text"', b"[]", b"[{}]", b"true")]
        # A browser makes the body of a push subscription, and a later one may add members.
        if operation.body.get("additionalProperties") is False:
            unknown = with_member(good, "unknown", "1"), with_member(good, LONG, "1")
            bodies += [(value.encode(), 422) for value in (*unknown, with_member(good, "", "1"))]
            bodies += [(with_member(good, "__proto__", "{}").encode(), 422)]
        if operation.body_required:
            bodies += [(b"", 400, 422), (b" ", 400), (b"null", 422)]
        if operation.body.get("required"):
            bodies += [(b"{}", 422)]
        for content, *statuses in bodies:
            note = repr(content)
            tries.append(walk.refuse(operation, url, content, note, frozenset(statuses)))
    await asyncio.gather(*tries)
    assert not walk.wrong, "\n".join(walk.wrong[:40])
    assert walk.count > 300


@each_server_and_database
async def test_invalid_values_are_rejected_in_every_parameter(person: Register, calm: None) -> None:
    walk, operations = await start_walk(person)
    clear, any_ = frozenset(range(400, 500)), frozenset(range(200, 500))
    tries = []
    for operation in operations:
        content = None
        if operation.body is not None:
            content = json.dumps(good_body(operation)).encode()
        for parameter in operation.parameters:
            name, kind = parameter["name"], next(iter(types_of(parameter["schema"]) - {"null"}))
            if parameter["in"] == "path":
                for value in HOSTILE_PATHS[kind]:
                    statuses = clear if kind == "integer" or value in NEVER else any_
                    url = walk.url(operation, **{name: value})
                    tries.append(
                        walk.refuse(operation, url, content, f"{name} = {value}", statuses)
                    )
                continue
            values = ["%00", "x" * 5000, "%FF%00"]
            if kind == "integer":
                values += [*HOSTILE_PATHS["integer"][1:], "", "201" if name == "limit" else "x"]
            elif name in ("cursor", "before"):
                values += [quote(value) for value in HOSTILE_CURSORS]
            maybe = NUMERIC_CURSORS if name in ("cursor", "before") and kind == "string" else []
            for value in values:
                url = f"{walk.url(operation)}?{name}={value}"
                note = f"?{name}={value}"
                tries.append(walk.refuse(operation, url, content, note, frozenset({422})))
            for value in (*maybe, "", "%FF", "%ED%A0%80", "a&a=b", "%", "%F0%9F%98%80", "_%25"):
                url = f"{walk.url(operation)}?{name}={value}"
                tries.append(walk.refuse(operation, url, content, f"?{name}={value}", any_))
    await asyncio.gather(*tries)
    assert not walk.wrong, "\n".join(walk.wrong[:40])
    assert walk.count > 300


async def test_malformed_authorization_header_answers_401(person: Register, calm: None) -> None:
    ila = await person()
    part = base64.urlsafe_b64encode
    tokens = [
        *("", "x", "a.b", "a.b.c", "...", "é", "x" * 6000, ila.refresh, ila.access[:-2]),
        *(f"{ila.access} x", f"{ila.access}.x", ila.access.swapcase()),
        *(
            ".".join(part(piece).decode() for piece in (header, claims, b"signature"))
            for header in (b'{"alg":"none"}', b'{"alg":"HS256"}', b"[" * 3000, b"\xff", b"null")
            for claims in (b"{}", b"[]", b"NaN", b"[" * 1000)
        ),
    ]
    for token in tokens:
        for scheme in ("Bearer", "bearer"):
            header = f"{scheme} {token}".strip().encode()
            answer = await ila.http.get("/users/me", headers={b"Authorization": header})
            assert answer.status_code == 401, token
            assert answer.headers["WWW-Authenticate"] == "Bearer"
            assert answer.json()["code"] in ("not_authenticated", "token_invalid")
        answer = await ila.post("/token/verify", {"token": token})
        assert answer.status_code in (401, 422), token
        answer = await ila.post("/token/refresh", {"refresh": token})
        # A real refresh token among them is accepted, as it should be.
        assert answer.status_code in ((200,) if token == ila.refresh else (401, 422)), token


async def test_checks_run_in_order_token_json_shape_visibility(
    person: Register, server: Server, calm: None
) -> None:
    walk, operations = await start_walk(person)
    async with rest(server.http) as anonymous:
        for operation in operations:
            url, has_body = walk.url(operation, room_id=NOWHERE), operation.body is not None
            broken = b"{" if has_body else None
            answer = await anonymous.request(operation.method, url, content=broken)
            is_open = operation.path in OPEN_TO_ALL
            expected = (400, "bad_json") if is_open else (401, "not_authenticated")
            assert (answer.status_code, answer.json()["code"]) == expected, operation
            wrong = ((b"{", 400), (b'{"no": 1}', 422)) if has_body else ()
            for content, status in wrong:
                await walk.refuse(operation, url, content, repr(content), frozenset({status}))
            if "{room_id}" in operation.path:
                good = json.dumps(good_body(operation)).encode() if has_body else None
                await walk.refuse(operation, url, good, "nowhere", frozenset({404}))
    assert not walk.wrong, "\n".join(walk.wrong)
    assert walk.count > 40


async def test_body_over_one_mebibyte_is_rejected(person: Register, calm: None) -> None:
    ila = await person()
    body = b'{"content": "' + b"x" * (1024 * 1024 + 1) + b'"}'
    answer = await ila.http.post("/rooms/1/messages", content=body)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


async def test_body_over_64_kib_requires_authentication(person: Register, calm: None) -> None:
    walk, operations = await start_walk(person)
    for operation in operations:
        if operation.body is None:
            continue
        beyond = (413, "too_large") if operation.for_strangers else (422, "invalid")
        for size, expected in ((65_536, (422, "invalid")), (65_537, beyond)):
            answer = await walk.ask(operation, b'{"no": "' + b"x" * (size - 10) + b'"}')
            assert (answer.status_code, answer.json()["code"]) == expected, (operation, size)
            assert check_error(answer) is None


async def test_body_with_many_unknown_members_gets_one_error(person: Register, calm: None) -> None:
    walk, operations = await start_walk(person)
    many = json.dumps({f"m{number}": 1 for number in range(33)}).encode()
    for operation in operations:
        if operation.body is not None:
            answer = await walk.ask(operation, many)
            assert check(answer, operation, frozenset({422})) is None, operation
            assert answer.json() == {
                "code": "invalid",
                "detail": "at most 32 members",
                "errors": [{"loc": [], "msg": "at most 32 members", "type": "too_many_members"}],
            }


# Frames

MEMBERS: dict[str, dict[str, Schema]] = {
    "message": {
        "message": {"type": "string"},
        "content": {"type": "string"},
        "client_id": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "receiver": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "reply_to": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "attachments": {"type": "array"},
    },
    "typing": {"typing": {"type": "boolean"}},
    "join": {},
    "exit": {},
    "read": {"seq": {"type": "integer"}},
    "resume": {"since": {"type": "integer"}},
    "ping": {},
}
COMMON: dict[str, Schema] = {
    name: {"anyOf": [{"type": "string"}, {"type": "null"}]} for name in ("token", "username", "ref")
}
NEEDED: dict[str, Schema] = {
    "message": {"message": "hey"},
    "read": {"seq": 1},
    "resume": {"since": 0},
}


def is_fine(name: str, value: str) -> bool:
    """Exceptions: any integer is a valid version, and a `ref` is only echoed."""
    return (name == "since" and value.isdigit()) or (name == "ref" and value in HOSTILE_TEXT[1:])


def wrong_frames() -> Iterator[str]:
    """Yields each member of each frame with each value that it must reject."""
    for kind, members in MEMBERS.items():
        frame = {"type": kind} | NEEDED.get(kind, {})
        for name, schema in (members | COMMON).items():
            base = {
                key: value for key, value in frame.items() if name != "content" or key != "message"
            }
            for value in wrong_values(schema):
                if not is_fine(name, value):
                    yield with_member(base, name, value)
        for name in ("unknown", "", "clientid", "Type", "__proto__", "room_id", "sender"):
            yield with_member(frame, name, "1")
        for name in NEEDED.get(kind, {}):
            yield json.dumps({key: value for key, value in frame.items() if key != name})
    for kind in ("null", "1", "true", "[]", "{}", '["message"]'):
        yield f'{{"type": {kind}, "message": "hey"}}'
    yield from ('{"type":"message","message":" \\n "}', '{"type":"message","message":""}', "{}")
    for bad in ("", "x" * 65, "é", r"a\nb", r"\u0000"):
        yield f'{{"type":"message","message":"hey","client_id":"{bad}"}}'
    for other in ("message", "typing"):
        yield f'{{"type":"join","{other}":"x"}}'


UNREADABLE = [
    *(
        "",
        " ",
        "x",
        "{",
        "}",
        "'",
        "null",
        "7",
        '"text"',
        "[]",
        "[{}]",
        "true",
        "NaN",
        "\x00",
        "\ufeff{}",
    ),
    *(f'{{"type":"ping","ref":{value}}}' for value in NOT_JSON.values()),
    *(f'{{"type":"read","seq":{value}}}' for value in NOT_JSON.values()),
    *(f'{{"type":{value},"message":"hey"}}' for value in NOT_JSON.values()),
    *(value for value in NOT_JSON.values() if value.startswith(("[", "{"))),
    '{"type":"ping"}{"type":"ping"}',
    '{"type":"ping",}',
]


@dataclass
class Room:
    """A room with a sender of invalid frames and an undisturbed receiver."""

    name: str
    id: int
    ila: Person
    watcher: Socket

    async def check_undisturbed(self) -> None:
        """Expects the other socket to work and the room to hold only these messages."""
        async with opened(self.ila.public(self.name)) as _:
            answer = await self.ila.post("/messages", {"room": self.name, "content": "still here"})
            assert answer.status_code == 201
        frame = await self.watcher.receive_type("message")
        assert (frame["message"], frame["seq"], frame["version"]) == ("still here", 1, 1)
        others = {frame["type"] for frame in await self.watcher.ping()}
        assert others <= {"join", "exit", "pong"}


@pytest.fixture
async def room(person: Register, calm: None) -> AsyncIterator[Room]:
    ila, kaushal = await person(), await person()
    name = fresh("undisturbed")
    watcher = kaushal.public(name)
    async with opened(watcher) as (ready,):
        room = Room(name, ready["room"]["id"], ila, watcher)
        yield room
        await room.check_undisturbed()


@each_server_and_database
async def test_invalid_values_are_rejected_in_every_frame_member(room: Room) -> None:
    socket = room.ila.public(room.name)
    tried = 0
    async with opened(socket):
        await socket.ping()
        for text in wrong_frames():
            assert len(text.encode()) < 65_536
            await socket.send_text(text)
            frame = await socket.receive()
            assert (frame["type"], frame.get("code")) == ("error", "invalid"), (
                f"{text[:200]} → {frame}"
            )
            assert isinstance(frame["message"], str)
            assert frame["message"]
            assert frame["errors"], text
            for error in frame["errors"]:
                assert set(error) == {"loc", "msg", "type"}
            assert "Traceback" not in json.dumps(frame)
            tried += 1
        await socket.ping()
    assert tried > 300


async def test_too_long_member_is_rejected_below_the_frame_limit(room: Room) -> None:
    socket = room.ila.public(room.name)
    long = "x" * 60_000
    async with opened(socket):
        await socket.ping()
        for name in ("message", "client_id", "ref", "username"):
            frame: Frame = {"type": "message", "message": "hey"} | {name: long}
            await socket.send(**frame)
            answer = await socket.receive()
            assert answer["type"] == "error", name
            assert answer["code"] in ("invalid", "sender_mismatch"), name
            assert "ref" not in answer


async def test_error_frame_echoes_a_readable_ref(room: Room) -> None:
    socket = room.ila.public(room.name)
    async with opened(socket):
        await socket.ping()
        for frame, code in (
            ({"type": "message", "message": 7}, "invalid"),
            ({"type": "message", "message": " "}, "invalid"),
            ({"type": "ping", "unknown": 1}, "invalid"),
            ({"type": "nonsense"}, "unknown_type"),
        ):
            await socket.send(**frame, ref="here")
            answer = await socket.receive()
            assert (answer["code"], answer["ref"]) == (code, "here"), frame


async def test_unknown_frame_type_is_an_error_and_keeps_the_socket(room: Room) -> None:
    socket = room.ila.public(room.name)
    async with opened(socket):
        await socket.ping()
        for kind in ("", "Message", "ready", "ack", "edit", "chat.message", "x" * 10_000, "é\x00"):
            await socket.send(type=kind, message="hey")
            assert (await socket.receive())["code"] == "unknown_type", kind


async def test_fifth_frame_that_is_no_json_object_closes_the_socket(room: Room) -> None:
    frames: list[str | bytes] = [*UNREADABLE, b"binary", b"", b'{"type":"ping"}', b"\xff" * 1000]
    for first in range(0, len(frames), 4):
        socket = room.ila.public(room.name)
        async with opened(socket):
            for frame in frames[first : first + 4]:
                await socket.send_text(frame)
                answer = await socket.receive_type("error")
                assert answer["code"] == "bad_frame", frame[:100]
                assert answer["message"]
            await socket.ping()
    socket = room.ila.public(room.name)
    async with opened(socket):
        for frame in frames[:5]:
            await socket.send_text(frame)
        code, answers = await socket.closed()
        errors = [answer["code"] for answer in answers if answer["type"] == "error"]
        assert code == 4400
        assert errors == ["bad_frame"] * 5


async def test_readable_frames_do_not_count_as_bad_frames(room: Room) -> None:
    socket = room.ila.public(room.name)
    async with opened(socket):
        for _ in range(10):
            await socket.send(type="nonsense")
            await socket.send(type="message", message=7)
        answers = [answer["code"] for answer in await socket.ping() if "code" in answer]
        assert answers == ["unknown_type", "invalid"] * 10


async def test_frame_size_limit_is_exactly_64_kib(room: Room) -> None:
    socket = room.ila.public(room.name)
    async with opened(socket):
        await socket.ping()
        for filling in ("x", "é", "😀"):
            for size, fits in ((65_536, True), (65_537, False), (66_560, False), (200_000, False)):
                frame = json.dumps({"type": "ping", "ref": "r"}, ensure_ascii=False)
                room_left = size - len(frame.encode()) - len('{"username":"",')
                count, rest = divmod(room_left + 1, len(filling.encode()))
                text = '{"username":"' + filling * count + '",' + frame[1:] + " " * rest
                assert len(text.encode()) == size
                await socket.send_text(text)
                answer = await socket.receive()
                assert answer["code"] == ("invalid" if fits else "frame_too_big"), (filling, size)
        await socket.send_text('{"type":"ping"' + " " * (65_536 - 15) + "}")
        assert await socket.receive() == {"type": "pong"}


async def test_transport_cuts_a_frame_of_one_mebibyte(room: Room) -> None:
    for frame in ("x" * 2**20, b"\x00" * 2**20):
        socket = room.ila.public(room.name)
        async with opened(socket):
            # The server may cut the connection before the whole frame is written.
            with suppress(ConnectionClosed):
                await socket.send_text(frame)
            code, _ = await socket.closed()
            assert code in (1009, 1006)


async def test_invalid_utf8_closes_only_its_socket(room: Room) -> None:
    socket, twin = room.ila.public(room.name), room.ila.public(room.name)
    async with opened(socket, twin):
        await socket.connection.send(b'{"type":"ping","ref":"\xff\xfe"}', text=True)
        code, _ = await socket.closed()
        assert code in (1007, 1006)
        await twin.ping()


@pytest.mark.parametrize(
    ("path", "code", "reason"),
    [
        ("/ws/chat/{}/", 4404, "no_such_room"),
        ("/ws/chat/group/{}/", 4403, "not_a_member"),
        ("/ws/private/{}/", 4404, "no_such_user"),
    ],
)
async def test_invalid_name_in_the_socket_url_is_rejected_with_a_reason(
    person: Register, calm: None, path: str, code: int, reason: str
) -> None:
    ila = await person()
    names = [
        "%00",
        "a%00b",
        "%FF",
        "%ED%A0%80",
        "%20",
        "x" * 65,
        "x" * 5000,
        "%40",
        "-",
        "%E2%80%AE",
    ]
    for name in names:
        async with ila.socket(path.format(name)) as socket:
            assert await socket.refused() == (code, reason), name
    for nowhere in ("/", "/ws/", "/ws/nothing/", "/ws/chat/", "/ws/chat/a/b/c/", "/ws/chat//"):
        async with ila.socket(nowhere) as socket:
            assert (await socket.refused())[0] == 4404, nowhere


async def test_malformed_token_is_rejected_in_every_place(
    person: Register, server: Server, calm: None
) -> None:
    ila = await person()
    url = f"{server.ws}/ws/chat/{fresh('unknown')}/"
    for token in ("", "x", "a.b.c", "%00", "%FF", "é", "x" * 4500, ila.refresh):
        async with Socket(f"{url}?token={token}") as socket:
            assert await socket.refused() == (4401, "token_invalid"), token
    for first in (
        "",
        "{}",
        "x",
        "[]",
        b"binary",
        '{"token": 7}',
        NOT_JSON["deep arrays"],
        "x" * 70_000,
    ):
        async with Socket(url) as socket:
            await socket.send_text(first)
            assert await socket.refused() == (4401, "not_authenticated"), first
    for token in ("", "x", "\x00", "é", "x" * 4500, ila.refresh):
        async with Socket(url) as socket:
            await socket.send(type="join", token=token)
            closed, reason = await socket.refused()
            assert closed == 4401, token
            assert reason in ("token_invalid", "not_authenticated"), token
    assert (await ila.get("/rooms", q="unknown")).json() == []
