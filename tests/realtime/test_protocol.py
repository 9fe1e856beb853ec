"""Parses client frames and encodes server frames."""

import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from accounts.kernel.errors import MAX_ERRORS, MAX_MEMBERS, TOO_MANY_MEMBERS
from messaging.schemas import MyRoomOut
from realtime.protocol.client_frames import (
    MAX_REF_LENGTH,
    MAX_RESUMED_ROOMS,
    AnyClientFrame,
    ClientFrame,
    Delivered,
    Exit,
    Join,
    Ping,
    Read,
    Resume,
    SendMessage,
    Typing,
)
from realtime.protocol.encoding import encode, message_text, with_room_id
from realtime.protocol.parsing import (
    _CLIENT_FRAMES,
    MAX_FRAME_LENGTH,
    MAX_INSPECTED_LENGTH,
    FrameError,
    parse,
    parse_events_frame,
    ref_in,
    room_in,
    token_in,
)
from realtime.protocol.server_frames import (
    Ack,
    DeliveredOut,
    ErrorFrame,
    EventsReady,
    Exited,
    Followed,
    InRoom,
    Joined,
    Marks,
    MessageFrame,
    MessageKind,
    Pong,
    PresenceFrame,
    ProfileFrame,
    ProfileUser,
    ReadOut,
    Ready,
    Resumed,
    RoomAdded,
    RoomFrame,
    RoomRemoved,
    RoomState,
    ServerFrame,
    TypingOut,
    Unfollowed,
    UserOut,
)
from rooms.schemas import RoomOut

PRINTABLE = ["".join(map(chr, range(first, first + 64))) for first in (0x20, 0x3F)]
"""Two client_ids of full length that hold all printable ASCII."""
MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


def refused(frame: object) -> FrameError:
    text = frame if isinstance(frame, str) else json.dumps(frame)
    with pytest.raises(FrameError) as refusal:
        parse(text)
    return refusal.value


# Client frames


@pytest.mark.parametrize(
    ("sent", "frame"),
    [
        ({"type": "message", "message": "Hey"}, SendMessage(message="Hey")),
        ({"message": "Hey"}, SendMessage(message="Hey")),
        ({"content": "Hey"}, SendMessage(message="Hey")),
        ({"message": "", "username": "ila"}, SendMessage(message="", username="ila")),
        (
            {
                "message": "Hey",
                "client_id": "7b 1f~",
                "receiver": 7,
                "reply_to": 8,
                "attachments": [],
                "token": "abc",
                "username": "ila",
                "ref": "r",
            },
            SendMessage(
                message="Hey",
                client_id="7b 1f~",
                receiver=7,
                reply_to=8,
                token="abc",
                username="ila",
                ref="r",
            ),
        ),
        (
            {"message": "Hey", "client_id": None, "receiver": None, "reply_to": None, "ref": None},
            SendMessage(message="Hey"),
        ),
        *(
            ({"message": "Hey", "client_id": each}, SendMessage(message="Hey", client_id=each))
            for each in PRINTABLE
        ),
        ({"type": "typing"}, Typing(typing=True)),
        ({"typing": False}, Typing(typing=False)),
        ({"type": "typing", "typing": False, "ref": "r"}, Typing(typing=False, ref="r")),
        ({"type": "join"}, Join()),
        ({"type": "exit", "ref": "r"}, Exit(ref="r")),
        ({"type": "read", "seq": 0}, Read(seq=0)),
        ({"type": "delivered", "seq": 0}, Delivered(seq=0)),
        ({"type": "resume", "since": 2**70}, Resume(since=2**70)),
        ({"type": "ping", "ref": "é" * MAX_REF_LENGTH}, Ping(ref="é" * MAX_REF_LENGTH)),
    ],
)
def test_client_frame_is_parsed(sent: dict[str, Any], frame: AnyClientFrame) -> None:
    assert parse(json.dumps(sent)) == frame


MINIMAL: dict[type[ClientFrame], dict[str, Any]] = {
    SendMessage: {"type": "message", "message": "Hey"},
    Typing: {"type": "typing"},
    Join: {"type": "join"},
    Exit: {"type": "exit"},
    Read: {"type": "read", "seq": 1},
    Delivered: {"type": "delivered", "seq": 1},
    Resume: {"type": "resume", "since": 1},
    Ping: {"type": "ping"},
}


def test_every_client_frame_is_tested_here() -> None:
    assert set(MINIMAL) == set(get_args(AnyClientFrame))


@pytest.mark.parametrize("kind", MINIMAL)
def test_every_frame_may_carry_token_username_and_ref(kind: type[ClientFrame]) -> None:
    frame = parse(json.dumps(MINIMAL[kind] | {"token": "abc", "username": "ila", "ref": "r"}))
    assert type(frame) is kind
    assert (frame.token, frame.username, frame.ref) == ("abc", "ila", "r")


@pytest.mark.parametrize("kind", MINIMAL)
def test_an_unknown_member_is_an_error_that_keeps_the_ref(kind: type[ClientFrame]) -> None:
    error = refused(MINIMAL[kind] | {"cliend_id": "a", "ref": "r"})
    assert (error.code, error.ref) == ("invalid", "r")
    assert error.errors is not None
    assert [one["loc"] for one in error.errors] == [["cliend_id"]]


@pytest.mark.parametrize(
    ("sent", "loc"),
    [
        ({"type": "message"}, "message"),
        ({"message": None}, "message"),
        ({"message": 5}, "message"),
        ({"message": "Hey", "content": "Hey"}, "content"),
        ({"message": "Hey", "typing": True}, "message"),
        ({"message": "Hey", "client_id": ""}, "client_id"),
        ({"message": "Hey", "client_id": "a" * 65}, "client_id"),
        ({"message": "Hey", "client_id": "é"}, "client_id"),
        ({"message": "Hey", "client_id": "a\n"}, "client_id"),
        ({"message": "Hey", "client_id": 5}, "client_id"),
        ({"message": "Hey", "receiver": 0}, "receiver"),
        ({"message": "Hey", "receiver": "7"}, "receiver"),
        ({"message": "Hey", "receiver": 2**63}, "receiver"),
        ({"message": "Hey", "reply_to": True}, "reply_to"),
        ({"message": "Hey", "reply_to": 1.5}, "reply_to"),
        ({"message": "Hey", "attachments": [0]}, "attachments"),
        ({"message": "Hey", "attachments": [*range(1, 12)]}, "attachments"),
        ({"message": "Hey", "attachments": None}, "attachments"),
        ({"message": "Hey", "username": "a\x00"}, "username"),
        ({"type": "typing", "typing": "yes"}, "typing"),
        ({"type": "read"}, "seq"),
        ({"type": "read", "seq": -1}, "seq"),
        ({"type": "read", "seq": 2**63}, "seq"),
        ({"type": "read", "seq": "5"}, "seq"),
        ({"type": "delivered", "seq": -1}, "seq"),
        ({"type": "resume", "since": -1}, "since"),
        ({"type": "resume", "since": None}, "since"),
        ({"type": "ping", "ref": 5}, "ref"),
        ({"type": "ping", "ref": "a" * (MAX_REF_LENGTH + 1)}, "ref"),
        ({"type": "ping", "token": 5}, "token"),
        ({"type": "ping", "token": "a" * 5000}, "token"),
    ],
)
def test_a_wrong_member_is_named(sent: dict[str, Any], loc: str) -> None:
    error = refused(sent)
    assert error.code == "invalid"
    assert error.errors is not None
    assert error.errors[0]["loc"][0] == loc
    assert loc in error.message


@pytest.mark.parametrize("kind", ["shout", "", "Message", "ready", "ack"])
def test_an_unknown_type_is_an_error_that_keeps_the_ref(kind: str) -> None:
    error = refused({"type": kind, "ref": "r"})
    assert (error.code, error.ref) == ("unknown_type", "r")


@pytest.mark.parametrize("kind", [None, 5, True, ["message"], {}])
def test_a_type_that_is_no_text_is_invalid(kind: object) -> None:
    error = refused({"type": kind, "ref": "r"})
    assert (error.code, error.ref) == ("invalid", "r")
    assert "type" in error.message


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "hello",
        "{",
        "{'type': 'ping'}",
        '{"type": "ping"} {}',
        '{"type": "ping", "ref": NaN}',
        '{"type": "ping", "ref": "\\ud800"}',
        '{"type": "resume", "since": ' + "9" * 6000 + "}",
        '{"a":' * 5000,
        "[" * 20000,
    ],
)
def test_text_that_is_not_json_is_a_bad_frame(text: str) -> None:
    assert refused(text).code == "bad_frame"


@pytest.mark.parametrize("text", ["null", "5", '"ping"', "[]", '[{"type": "ping"}]', "true"])
def test_json_that_is_no_object_is_a_bad_frame(text: str) -> None:
    assert refused(text).code == "bad_frame"


def test_a_binary_frame_is_a_bad_frame() -> None:
    with pytest.raises(FrameError) as refusal:
        parse(None)
    assert refusal.value.code == "bad_frame"


@pytest.mark.parametrize("letter", ["a", "é", "€", "😀"])
def test_a_frame_has_at_most_64_kib_of_utf_8(letter: str) -> None:
    room = MAX_FRAME_LENGTH - len('{"message":""}')
    text = letter * (room // len(letter.encode()))
    filled = text + "a" * (room - len(text.encode()))
    assert parse(f'{{"message":"{filled}"}}') == SendMessage(message=filled)
    assert refused(f'{{"message":"{filled}a"}}').code == "frame_too_big"


def test_a_ref_that_is_too_long_is_not_echoed() -> None:
    assert refused({"type": "shout", "ref": "a" * (MAX_REF_LENGTH + 1)}).ref is None


@pytest.mark.parametrize("kind", MINIMAL)
def test_too_many_members_are_refused_without_their_names(kind: type[ClientFrame]) -> None:
    few = {f"m{number}": 1 for number in range(MAX_MEMBERS - len(MINIMAL[kind]) - 1)}
    error = refused(MINIMAL[kind] | few | {"ref": "r"})
    assert len(error.errors or ()) == min(len(few), MAX_ERRORS)
    error = refused(MINIMAL[kind] | few | {"ref": "r", "one": "more"})
    assert (error.code, error.ref, error.errors) == ("invalid", "r", TOO_MANY_MEMBERS)


def test_many_members_do_not_cause_one_pydantic_error_each() -> None:
    many = json.dumps({f"m{number}": 1 for number in range(5_000)})
    with pytest.raises(ValidationError) as refusal:
        _CLIENT_FRAMES.validate_json(many)
    assert refusal.value.error_count() == 1


WRONG_BUT_AN_OBJECT = [
    {"type": "shout"},
    {"type": 5},
    {"type": "join", "unknown": [[1]]},
    {f"m{number}": 1 for number in range(5_000)},
    {},
]


@pytest.mark.parametrize("sent", WRONG_BUT_AN_OBJECT, ids=lambda sent: str(sent)[:40])
def test_token_and_ref_are_found_in_an_invalid_frame(sent: dict[str, Any]) -> None:
    text = json.dumps(sent | {"token": "abc", "ref": "r"})
    assert token_in(text) == "abc"
    assert ref_in(text) == ("r" if len(text) <= MAX_INSPECTED_LENGTH else None)


@pytest.mark.parametrize(
    "text",
    [
        *(None, "", "{", "[]", '"token"', "{}", '{"token": 5, "ref": 5}'),
        *('{"token": "a", "ref": NaN}', '{"token": "\\ud800"}', '{"a":' * 5000),
        json.dumps({"token": "a", "ref": "r", "message": "x" * MAX_FRAME_LENGTH}),
    ],
    ids=lambda text: str(text)[:40],
)
def test_no_token_and_no_ref_are_found_in_an_unreadable_frame(text: str | None) -> None:
    assert (token_in(text), ref_in(text)) == (None, None)


def check_parse(text: str) -> None:
    """Every text is a frame or a FrameError with a valid answer."""
    try:
        frame = parse(text)
    except FrameError as error:
        answer = ErrorFrame(
            code=error.code, message=error.message, ref=error.ref, errors=error.errors
        )
        assert json.loads(encode(answer))["message"] == error.message  # noqa: PT017
    else:
        assert isinstance(frame, ClientFrame)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
MEMBERS = st.sampled_from(
    [
        *("type", "message", "content", "typing", "seq", "since", "token", "username", "ref"),
        *("client_id", "receiver", "reply_to", "attachments", "other"),
    ]
)
TYPES = st.sampled_from(["message", "typing", "join", "exit", "read", "resume", "ping", "shout"])


@given(st.text())  # without surrogates: a text frame is UTF-8, the servers see to that
def test_any_text_is_a_frame_or_a_frame_error(text: str) -> None:
    check_parse(text)


@given(st.dictionaries(MEMBERS, VALUES), TYPES | st.none())
def test_any_object_is_a_frame_or_a_frame_error(sent: dict[str, Any], kind: str | None) -> None:
    check_parse(json.dumps(sent | ({"type": kind} if kind else {})))


# Server frames

ROOM = RoomOut(
    id=1,
    name="sports",
    kind="public",
    title="",
    topic="",
    created_by=None,
    created_at=MOMENT,
    member_count=2,
    last_seq=3,
    version=4,
)
ROOM_ON_THE_WIRE = {
    "id": 1,
    "name": "sports",
    "kind": "public",
    "title": "",
    "topic": "",
    "created_by": None,
    "created_at": "2026-01-02T03:04:05.678Z",
    "member_count": 2,
    "last_seq": 3,
    "version": 4,
}
SERVER_FRAMES: list[tuple[ServerFrame, dict[str, Any]]] = [
    (
        Ready(
            room=ROOM,
            user=UserOut(id=7, username="ila"),
            version=4,
            online=["ila"],
            online_count=1,
        ),
        {
            "type": "ready",
            "room": ROOM_ON_THE_WIRE,
            "user": {"id": 7, "username": "ila"},
            "version": 4,
            "online": ["ila"],
            "online_count": 1,
        },
    ),
    (
        Ack(client_id="a", ref="r", room_id=1, id=2, seq=3, version=4, duplicate=False),
        {
            "type": "ack",
            "ref": "r",
            "client_id": "a",
            "room_id": 1,
            "id": 2,
            "seq": 3,
            "version": 4,
            "duplicate": False,
        },
    ),
    (
        Ack(room_id=1, id=2, seq=3, version=4, duplicate=True),
        {"type": "ack", "room_id": 1, "id": 2, "seq": 3, "version": 4, "duplicate": True},
    ),
    (
        TypingOut(sender=7, username="ila", typing=True),
        {"type": "typing", "sender": 7, "username": "ila", "typing": True},
    ),
    (Joined(username="ila"), {"type": "join", "username": "ila"}),
    (Exited(username="ila", ref="r"), {"type": "exit", "username": "ila", "ref": "r"}),
    (ReadOut(username="ila", seq=3), {"type": "read", "username": "ila", "seq": 3}),
    (
        DeliveredOut(username="ila", seq=3),
        {"type": "delivered", "username": "ila", "seq": 3},
    ),
    (RoomFrame(room=ROOM), {"type": "room", "room": ROOM_ON_THE_WIRE}),
    (
        Resumed(first=41, to=57, complete=True),
        {"type": "resumed", "from": 41, "to": 57, "complete": True},
    ),
    (
        EventsReady(
            user=UserOut(id=7, username="ila"),
            rooms=[
                RoomState(
                    id=1,
                    version=4,
                    last_seq=3,
                    last_read_seq=1,
                    unread=2,
                    mentions=0,
                    muted=False,
                )
            ],
            more=True,
        ),
        {
            "type": "ready",
            "user": {"id": 7, "username": "ila"},
            "rooms": [
                {
                    "id": 1,
                    "version": 4,
                    "last_seq": 3,
                    "last_read_seq": 1,
                    "unread": 2,
                    "mentions": 0,
                    "muted": False,
                }
            ],
            "more": True,
        },
    ),
    (
        Followed(ref="f", room_id=1, room=ROOM, version=4, online=["ila"], online_count=1),
        {
            "ref": "f",
            "type": "followed",
            "room_id": 1,
            "room": ROOM_ON_THE_WIRE,
            "version": 4,
            "online": ["ila"],
            "online_count": 1,
        },
    ),
    (Unfollowed(room_id=1), {"type": "unfollowed", "room_id": 1}),
    (
        RoomAdded(
            room=MyRoomOut(
                **ROOM.model_dump(exclude={"members"}),
                role="member",
                unread=0,
                last_read_seq=3,
                mentions=0,
                muted=False,
                muted_until=None,
                notify="all",
                last_message=None,
            )
        ),
        {
            "type": "room_added",
            "room": ROOM_ON_THE_WIRE
            | {
                "role": "member",
                "unread": 0,
                "last_read_seq": 3,
                "mentions": 0,
                "muted": False,
                "muted_until": None,
                "notify": "all",
                "last_message": None,
            },
        },
    ),
    (
        RoomRemoved(room_id=1, reason="left"),
        {"type": "room_removed", "room_id": 1, "reason": "left"},
    ),
    (
        Marks(room_id=1, last_read_seq=3, unread=0, mentions=0, muted=True),
        {
            "type": "marks",
            "room_id": 1,
            "last_read_seq": 3,
            "unread": 0,
            "mentions": 0,
            "muted": True,
        },
    ),
    (
        ProfileFrame(user=ProfileUser(id=7, username="ila", display_name="Ila")),
        {"type": "profile", "user": {"id": 7, "username": "ila", "display_name": "Ila"}},
    ),
    (
        PresenceFrame(
            user_id=7, username="ila", online=False, last_seen=datetime(2026, 1, 2, tzinfo=UTC)
        ),
        {
            "type": "presence",
            "user_id": 7,
            "username": "ila",
            "online": False,
            "last_seen": "2026-01-02T00:00:00.000Z",
        },
    ),
    (Pong(ref="r"), {"type": "pong", "ref": "r"}),
    (Pong(), {"type": "pong"}),
    (
        ErrorFrame(code="busy", message="Wait", ref="r", retry_after=1.5),
        {"type": "error", "code": "busy", "message": "Wait", "ref": "r", "retry_after": 1.5},
    ),
    (
        ErrorFrame(code="invalid", message="No", errors=[{"loc": ["seq"]}]),
        {"type": "error", "code": "invalid", "message": "No", "errors": [{"loc": ["seq"]}]},
    ),
]


@pytest.mark.parametrize(("frame", "wire"), SERVER_FRAMES)
def test_a_server_frame_has_exactly_its_members(frame: ServerFrame, wire: dict[str, Any]) -> None:
    assert json.loads(encode(frame)) == wire


@pytest.mark.parametrize(("frame", "wire"), SERVER_FRAMES)
def test_the_type_comes_first_or_after_the_ref(frame: ServerFrame, wire: dict[str, Any]) -> None:
    assert "type" in list(json.loads(encode(frame)))[:2]


@pytest.mark.parametrize(("frame", "wire"), SERVER_FRAMES)
def test_frame_about_a_room_gains_its_id_on_an_events_socket(
    frame: ServerFrame, wire: dict[str, Any]
) -> None:
    if "room_id" not in wire:
        assert json.loads(with_room_id(encode(frame), 9)) == wire | {"room_id": 9}


@pytest.mark.parametrize(
    ("text", "members"),
    [
        ('{"message":"Hi","room_id":1}', {"type": "message", "room_id": 1, "receiver": None}),
        ('{"type":"message","message":"Hi","receiver":2}', {"receiver": 2, "room_id": None}),
        ('{"typing":true,"room_id":1}', {"type": "typing", "typing": True, "room_id": 1}),
        ('{"type":"join","room_id":1,"ref":"j"}', {"type": "join", "ref": "j"}),
        ('{"type":"exit","receiver":2}', {"type": "exit", "receiver": 2}),
        ('{"type":"read","seq":3,"room_id":1}', {"type": "read", "seq": 3}),
        ('{"type":"follow","room_id":1}', {"type": "follow", "room_id": 1}),
        ('{"type":"unfollow","room_id":1}', {"type": "unfollow", "room_id": 1}),
        ('{"type":"resume","rooms":{"7":40,"9":0}}', {"type": "resume", "rooms": {7: 40, 9: 0}}),
        ('{"type":"ping"}', {"type": "ping"}),
    ],
)
def test_events_frames_name_their_room(text: str, members: dict[str, Any]) -> None:
    frame = parse_events_frame(text).model_dump()
    assert {name: frame[name] for name in members} == members


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('{"type":"resume","since":4}', "invalid"),
        ('{"type":"resume","rooms":{"x":4}}', "invalid"),
        ('{"type":"resume","rooms":{"0":4}}', "invalid"),
        ('{"type":"resume","rooms":{"7":"4"}}', "invalid"),
        ('{"type":"resume","rooms":[7]}', "invalid"),
        ('{"type":"follow","room_id":"7"}', "invalid"),
        ('{"type":"follow","room_id":7,"room":"x"}', "invalid"),
        ('{"type":"subscribe","room_id":7}', "unknown_type"),
        ("[]", "bad_frame"),
    ],
)
def test_malformed_events_frames_are_refused(text: str, code: str) -> None:
    with pytest.raises(FrameError) as refused:
        parse_events_frame(text)
    assert refused.value.code == code


def test_sockets_of_one_room_have_no_frames_of_events_sockets() -> None:
    for text in ('{"type":"follow","room_id":7}', '{"type":"unfollow","room_id":7}'):
        with pytest.raises(FrameError):
            parse(text)
    with pytest.raises(FrameError):
        parse('{"message":"Hi","room_id":7}')


def test_resume_names_a_bounded_number_of_rooms() -> None:
    rooms = {str(number): 0 for number in range(1, MAX_RESUMED_ROOMS + 2)}
    with pytest.raises(FrameError):
        parse_events_frame(json.dumps({"type": "resume", "rooms": rooms}))
    del rooms["1"]
    parse_events_frame(json.dumps({"type": "resume", "rooms": rooms}))


@pytest.mark.parametrize(
    ("text", "room_id"),
    [
        ('{"type":"nonsense","room_id":7}', 7),
        ('{"room_id":"7"}', None),
        ('{"room_id":true}', None),
        ('{"room_id":-1}', None),
        ("[7]", None),
        (None, None),
    ],
)
def test_room_of_a_refused_frame_is_read(text: str | None, room_id: int | None) -> None:
    assert room_in(text) == room_id


def test_every_server_frame_is_tested_here() -> None:
    def below(kind: type[ServerFrame]) -> set[type[ServerFrame]]:
        return {kind}.union(*map(below, kind.__subclasses__()))

    frames = {
        kind
        for kind in below(ServerFrame)
        if "type" in kind.model_fields and not issubclass(kind, InRoom)
    }
    assert frames == {type(frame) for frame, _ in SERVER_FRAMES}


def test_private_room_frame_names_both_users() -> None:
    room = ROOM.model_copy(update={"name": None, "kind": "private", "members": ["ila", "kim"]})
    assert json.loads(encode(RoomFrame(room=room)))["room"]["members"] == ["ila", "kim"]


@pytest.mark.parametrize("kind", get_args(MessageKind))
def test_a_message_frame_has_the_whole_state(kind: MessageKind) -> None:
    message = SimpleNamespace(
        id=5,
        seq=3,
        version=4,
        room=None,
        room_id=1,
        sender=7,
        username="ila",
        receiver=8,
        content='Hey "you" ✨\u2028',
        timestamp=MOMENT,
        edited_at=None,
        deleted=False,
        reply_to=None,
        client_id=None,
        attachments=(),
        reactions=[{"emoji": "👍", "count": 1, "users": [7]}],
        mentions=[8],
        mentions_all=False,
        quote={"id": 4, "sender": 8, "username": "kim", "content": "", "deleted": True},
        pinned=True,
    )
    wire = json.loads(message_text(kind, message))
    assert next(iter(wire)) == "type"
    assert wire == {
        "type": kind,
        "id": 5,
        "seq": 3,
        "version": 4,
        "room": None,
        "room_id": 1,
        "sender": 7,
        "username": "ila",
        "receiver": 8,
        "message": 'Hey "you" ✨\u2028',
        "timestamp": "2026-01-02T03:04:05.678Z",
        "edited_at": None,
        "deleted": False,
        "reply_to": None,
        "client_id": None,
        "attachments": [],
        "mentions": [8],
        "mentions_all": False,
        "quote": {"id": 4, "sender": 8, "username": "kim", "content": "", "deleted": True},
        "pinned": True,
        "reactions": [{"emoji": "👍", "count": 1, "users": [7]}],
    }
    assert set(wire) == set(MessageFrame.model_fields)
