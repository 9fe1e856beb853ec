"""Nothing the domain says is lost on the way out: every event and every refusal has its place."""

import json
import sys
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import TypeVar

import pytest
from typing_extensions import override

from accounts.events import SessionsEnded
from accounts.kernel.errors import DomainError
from accounts.kernel.events import Event
from config.api import STATUS
from messaging.events import (
    MessageEdited,
    MessageErased,
    MessageSent,
    MessageState,
    ReactionsChanged,
    ReadAdvanced,
)
from realtime import receivers
from realtime.close_codes import CLOSE_CODES, ENDS_AN_OPEN_SOCKET
from realtime.cluster.broadcaster import Broadcaster
from realtime.receivers import RECEIVERS, receives
from realtime.runtime import runtime
from rooms.events import RoomChanged

from .test_protocol import ROOM

T = TypeVar("T")


def below(kind: type[T]) -> list[type[T]]:
    """All classes of the app that stand below one, by name."""
    found: set[type[T]] = set()
    waiting = kind.__subclasses__()
    while waiting:
        found.add(one := waiting.pop())
        waiting += one.__subclasses__()
    # A dataclass with slots leaves the class that it was made from behind for a while.
    kept = [one for one in found if getattr(sys.modules[one.__module__], one.__name__, None) is one]
    return sorted((one for one in kept if "tests" not in one.__module__), key=by_name)


def by_name(kind: type[object]) -> str:
    return kind.__name__


EVENTS = below(Event)
REFUSALS = below(DomainError)


def test_every_event_has_exactly_one_receiver() -> None:
    assert sorted(RECEIVERS, key=by_name) == EVENTS
    assert len(set(RECEIVERS.values())) == len(EVENTS)


def test_a_second_receiver_of_an_event_is_a_mistake() -> None:
    with pytest.raises(RuntimeError, match="SessionsEnded"):
        receives(SessionsEnded)(lambda event: None)


@pytest.mark.parametrize("refusal", REFUSALS, ids=by_name)
def test_every_refusal_has_a_status_and_a_close_code(refusal: type[DomainError]) -> None:
    assert refusal in STATUS or refusal.__module__.startswith("realtime.")
    assert refusal in CLOSE_CODES


def test_nothing_else_stands_in_the_tables() -> None:
    assert sorted(CLOSE_CODES, key=by_name) == REFUSALS
    assert set(STATUS) <= set(REFUSALS)
    assert set(REFUSALS) >= ENDS_AN_OPEN_SOCKET


AS_IN_THE_CONTRACT = {
    4400: {"bad_frame"},
    4401: {
        *("not_authenticated", "token_invalid", "token_expired", "session_ended"),
        "auth_timeout",
    },
    4403: {"not_a_member", "removed", "forbidden"},
    4404: {"no_such_user", "no_such_room"},
    4408: {"too_slow"},
    4429: {"rate_limited", "too_many_connections"},
}


def test_close_codes_are_those_of_the_contract() -> None:
    assert set(CLOSE_CODES.values()) == {1012, *AS_IN_THE_CONTRACT}
    for close_code, codes in AS_IN_THE_CONTRACT.items():
        mapped = {(one.code, CLOSE_CODES[one]) for one in REFUSALS if one.code in codes}
        assert mapped == {(code, close_code) for code in codes}


def test_what_closes_nothing_in_the_contract_leaves_an_open_socket_alone() -> None:
    ends = {one.code for one in ENDS_AN_OPEN_SOCKET}
    stays = {one.code for one in REFUSALS if one not in ENDS_AN_OPEN_SOCKET}
    assert not ends & {
        *("invalid", "sender_mismatch", "receiver_mismatch", "client_id_reused", "busy"),
        "forbidden",
    }
    assert "rate_limited" in stays


@pytest.mark.parametrize("refusal", REFUSALS, ids=by_name)
def test_every_refusal_has_a_code_and_a_sentence(refusal: type[DomainError]) -> None:
    assert refusal.code == refusal.code.lower()
    assert refusal.code.replace("_", "").isalpha()
    assert refusal.detail[0].isupper()
    assert not refusal.detail.endswith(".")


def test_a_code_of_the_domain_means_one_thing() -> None:
    domain = [one for one in REFUSALS if not one.__module__.startswith("realtime.")]
    assert len({one.code for one in domain}) == len(domain)


# What the receivers tell the hub


class Told(Broadcaster):
    """Writes down what it is told to send."""

    def __init__(self) -> None:
        self.frames: list[tuple[int, str]] = []

    @override
    def send_to_room(
        self,
        room_id: int,
        text: str,
        *,
        except_user_id: int | None = None,
        droppable: bool = False,
    ) -> None:
        self.frames.append((room_id, json.loads(text)["type"]))

    @override
    def deliver(
        self, room_id: int, version: int, access_epoch: int, text: Callable[[], str]
    ) -> None:
        self.frames.append((room_id, json.loads(text())["type"]))

    @override
    def send_read_marker(self, room_id: int, user_id: int, text: str) -> None:
        self.frames.append((room_id, f"{json.loads(text)['type']} of {user_id}"))

    @override
    def send_to_users(
        self, room_id: int, user_ids: Collection[int], text: Callable[[], str]
    ) -> None:
        self.frames.append((room_id, f"copy to {user_ids}"))


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str]]:
    told = Told()
    monkeypatch.setattr(runtime, "broadcaster", told)
    return told.frames


def state(receiver: int | None = None) -> MessageState:
    return MessageState(
        id=5,
        seq=3,
        version=4,
        room="sports",
        room_id=1,
        sender=7,
        username="ila",
        receiver=receiver,
        content="Hey",
        timestamp=datetime(2026, 1, 2, tzinfo=UTC),
        edited_at=None,
        deleted=False,
        reply_to=None,
        client_id=None,
        reactions=[],
        access_epoch=0,
    )


@pytest.mark.parametrize(
    ("event", "frames"),
    [
        (MessageSent(state()), [(1, "message")]),
        (MessageSent(state(receiver=8), via_room_id=2), [(1, "message"), (2, "copy to (7, 8)")]),
        (MessageEdited(state()), [(1, "edit")]),
        (MessageErased(state()), [(1, "delete")]),
        (ReactionsChanged(state()), [(1, "reaction")]),
        (ReadAdvanced(1, 7, "ila", 3), [(1, "read of 7")]),
        (RoomChanged(ROOM), [(1, "room")]),
    ],
)
def test_an_event_becomes_its_frame(
    event: Event, frames: list[tuple[int, str]], told: list[tuple[int, str]]
) -> None:
    RECEIVERS[type(event)](event)
    assert told == frames


def test_a_receiver_that_fails_takes_nothing_from_the_rest_of_its_batch(
    told: list[tuple[int, str]], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(event: Event) -> None:
        raise RuntimeError("broken")

    monkeypatch.setitem(RECEIVERS, MessageEdited, fail)
    receivers._publish([MessageEdited(state()), MessageErased(state()), MessageSent(state())])
    assert told == [(1, "delete"), (1, "message")]
    assert "while MessageEdited was published" in caplog.text
