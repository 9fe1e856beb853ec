"""Order, holes and positions of a timeline, from frames alone."""

import random
from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from chat_backend_client.events import Change, Position
from chat_backend_client.models import Message
from chat_backend_client.timeline import Timeline


def message(seq: int, version: int | None = None, content: str = "") -> Message:
    return Message(
        id=seq + 100,
        seq=seq,
        version=version or seq,
        room="r",
        room_id=1,
        sender=1,
        username="ila",
        receiver=None,
        content=content or f"m{seq}",
        timestamp=datetime(2026, 1, 1, tzinfo=UTC),
        edited_at=None,
        deleted=False,
        reply_to=None,
        client_id=None,
    )


def timeline(version: int = 0, seq: int = 0, most: int = 100) -> Timeline:
    return Timeline(1, Position(version, seq), most)


def seqs(changes: list[Change]) -> list[int]:
    return [one.message.seq for one in changes]


def test_message_ahead_of_its_predecessor_is_held() -> None:
    line = timeline()
    assert seqs(line.apply("message", message(1))) == [1]
    assert line.apply("message", message(3)) == []
    assert (line.has_hole, line.version) == (True, 1)
    assert seqs(line.apply("message", message(2))) == [2, 3]
    assert (line.has_hole, line.version) == (False, 3)


def test_repeated_and_older_states_are_no_changes() -> None:
    line = timeline()
    line.apply("message", message(1, 1))
    assert [one.kind for one in line.apply("edit", message(1, 4, "new"))] == ["edit"]
    assert line.apply("edit", message(1, 4, "new")) == []
    assert line.apply("edit", message(1, 3, "old")) == []
    assert line.messages[0].content == "new"


def test_change_of_an_unknown_newest_message_adds_it() -> None:
    """A replay that was cut brings a message as the change that it went through."""
    line = timeline()
    (change,) = line.apply("edit", message(1, 5))
    assert change.kind == "message"


def test_history_ahead_of_the_socket_does_not_move_the_version() -> None:
    line = timeline()
    line.apply("message", message(1))
    line.apply_history([message(2, 2), message(3, 9)])
    assert (line.last_seq, line.version) == (3, 1)
    assert line.apply("message", message(2, 2)) == []
    assert line.version == 2


def test_frozen_version_waits() -> None:
    line = timeline(10, 5)
    line.frozen = True
    line.apply("message", message(6, 12))
    assert line.version == 10
    line.frozen = False
    line.settle()
    assert line.version == 12


def test_oldest_messages_leave_the_window() -> None:
    line = timeline(most=3)
    for seq in range(1, 6):
        line.apply("message", message(seq))
    assert [one.seq for one in line.messages] == [3, 4, 5]
    assert line.first_seq == 3


def test_change_while_older_messages_load_is_not_undone_by_them() -> None:
    line = timeline(20, 10)
    line.begin_loading()
    line.apply("edit", message(9, 21, "edited"))
    line.prepend([message(8), message(9, 9, "before"), message(10)])
    assert [one.content for one in line.messages] == ["m8", "edited", "m10"]


def test_position_of_each_change_repeats_rather_than_loses() -> None:
    """A bot that stops after any change gets all later ones from its position."""
    line = timeline()
    line.apply("message", message(3, 3))
    line.apply("message", message(2, 2))
    changes = line.apply("message", message(1, 4))
    assert [one.position for one in changes] == [
        Position(0, 1),
        Position(0, 2),
        Position(4, 3),
    ]


@given(st.integers(0, 2**32), st.integers(1, 40))
def test_any_order_of_states_ends_in_the_newest_ones(seed: int, count: int) -> None:
    rng = random.Random(seed)
    states = [
        message(rng.randrange(1, 1 + count), version, f"v{version}") for version in range(1, 90)
    ]
    states += [message(seq, 100 + seq) for seq in range(1, count + 1)]
    newest = {one.seq: one for one in sorted(states, key=lambda one: one.version)}
    rng.shuffle(states)
    line = timeline()
    told = [change for one in states for change in line.apply("edit", replace(one))]
    assert line.messages == [newest[seq] for seq in range(1, count + 1)]
    new = [one.message.seq for one in told if one.kind == "message"]
    assert new == list(range(1, count + 1))
    assert not line.has_hole
