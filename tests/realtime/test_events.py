"""Every event has one receiver, every refusal a status and a close code."""

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
from config.error_answers import STATUS
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
    """Returns the app's subclasses of a class, sorted by name."""
    found: set[type[T]] = set()
    waiting = kind.__subclasses__()
    while waiting:
        found.add(one := waiting.pop())
        waiting += one.__subclasses__()
    # A dataclass with slots leaves its original class behind for a while.
    kept = [one for one in found if getattr(sys.modules[one.__module__], one.__name__, None) is one]
    return sorted((one for one in kept if "tests" not in one.__module__), key=by_name)


def by_name(kind: type[object]) -> str:
    return kind.__name__


EVENTS = below(Event)
REFUSALS = below(DomainError)


def test_every_event_has_exactly_one_receiver() -> None:
    assert sorted(RECEIVERS, key=by_name) == EVENTS
    assert len(set(RECEIVERS.values())) == len(EVENTS)


def test_second_receiver_of_an_event_raises() -> None:
    with pytest.raises(RuntimeError, match="SessionsEnded"):
        receives(SessionsEnded)(lambda event: None)


@pytest.mark.parametrize("refusal", REFUSALS, ids=by_name)
def test_every_refusal_has_a_status_and_a_close_code(refusal: type[DomainError]) -> None:
    assert refusal in STATUS or refusal.__module__.startswith("realtime.")
    assert refusal in CLOSE_CODES


def test_tables_have_no_other_entries() -> None:
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


def test_errors_that_close_nothing_in_the_contract_keep_the_socket_open() -> None:
    ends = {one.code for one in ENDS_AN_OPEN_SOCKET}
    stays = {one.code for one in REFUSALS if one not in ENDS_AN_OPEN_SOCKET}
    assert not ends & {
        *("invalid", "sender_mismatch", "receiver_mismatch", "client_id_reused", "busy"),
        "forbidden",
    }
    assert "rate_limited" in stays


@pytest.mark.parametrize("refusal", REFUSALS, ids=by_name)
def test_every_refusal_has_a_code_and_a_detail(refusal: type[DomainError]) -> None:
    assert refusal.code == refusal.code.lower()
    assert refusal.code.replace("_", "").isalpha()
    assert refusal.detail[0].isupper()
    assert not refusal.detail.endswith(".")


def test_domain_error_codes_are_unique() -> None:
    domain = [one for one in REFUSALS if not one.__module__.startswith("realtime.")]
    assert len({one.code for one in domain}) == len(domain)


# What the receivers broadcast


class RecordingBroadcaster(Broadcaster):
    """Records the frames that it is asked to send."""

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
    def send_receipt(self, room_id: int, user_id: int, text: str, *, shared: bool = True) -> None:
        self.frames.append((room_id, f"{json.loads(text)['type']} of {user_id}"))

    @override
    def send_to_users(
        self, room_id: int, user_ids: Collection[int], text: Callable[[], str]
    ) -> None:
        self.frames.append((room_id, f"copy to {user_ids}"))


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str]]:
    sent = RecordingBroadcaster()
    monkeypatch.setattr(runtime, "broadcaster", sent)
    return sent.frames


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
    event: Event, frames: list[tuple[int, str]], sent: list[tuple[int, str]]
) -> None:
    RECEIVERS[type(event)](event)
    assert sent == frames


def test_failing_receiver_does_not_stop_the_rest_of_its_batch(
    sent: list[tuple[int, str]], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(event: Event) -> None:
        raise RuntimeError("broken")

    monkeypatch.setitem(RECEIVERS, MessageEdited, fail)
    receivers._publish([MessageEdited(state()), MessageErased(state()), MessageSent(state())])
    assert sent == [(1, "delete"), (1, "message")]
    assert "while MessageEdited was published" in caplog.text
