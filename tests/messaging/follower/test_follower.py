"""Followers handle each stored change, in one process, although others stop."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from accounts.auth import Caller
from messaging import deletion, editing, reactions
from messaging.changes_since import changes_since
from messaging.follower.changed_rooms import Position, find_changed
from messaging.follower.consumer import VersionRange
from messaging.follower.lag import lag_seconds
from messaging.follower.lease import Lease, LeaseLost
from messaging.follower.loop import FollowerThread
from messaging.follower.models import Cursor, Follower, LaterChange
from messaging.models import Message
from rooms.models import Room, RoomKind
from tests.factories import commits, make_room, make_session, make_user, store_message

pytestmark = commits


class Recorder:
    """A consumer that records the versions it was given; may fail once."""

    name = "recorder"

    def __init__(self, max_versions: int = 1000) -> None:
        self.max_versions = max_versions
        self.seen: list[tuple[int, int]] = []
        self.steps = 0
        self.fails = False

    def handle(self, ranges: Sequence[VersionRange]) -> None:
        self.steps += 1
        for one in ranges:
            self.seen += [(one.room_id, version) for version in range(one.since + 1, one.until + 1)]
        if self.fails:
            self.fails = False
            raise RuntimeError("killed")

    def work(self) -> bool:
        return False

    def close(self) -> None:
        return


class Follows:
    """A follower without its thread."""

    def __init__(self, consumer: Recorder) -> None:
        self.consumer = consumer
        self.thread = FollowerThread(consumer)

    def round(self) -> list[tuple[int, int]]:
        """Follows once and returns what was handled."""
        before = len(self.consumer.seen)
        assert self.thread._lease.hold()
        self.thread.follow()
        return self.consumer.seen[before:]


@pytest.fixture
def follows() -> Follows:
    running = Follows(Recorder())
    assert running.round() == []
    return running


@pytest.fixture(autouse=True)
def no_limits(unlimited: None) -> None:
    """Nothing here is about rates."""


def test_messages_edits_deletions_and_reactions_are_followed_once(
    follows: Follows, ila: Caller, room: Room
) -> None:
    first = store_message(ila, room)
    assert follows.round() == [(room.pk, 1)]
    store_message(ila, room)
    editing.edit_message(caller=ila, room_id=room.pk, message_id=first.id, content="Hey")
    assert follows.round() == [(room.pk, 2), (room.pk, 3)]
    reactions.add_reaction(caller=ila, room_id=room.pk, message_id=first.id, emoji="👍")
    assert follows.round() == [(room.pk, 4)]
    deletion.delete_message(caller=ila, room_id=room.pk, message_id=first.id)
    assert follows.round() == [(room.pk, 5)]
    assert follows.round() == []
    changes = changes_since(room, 0, limit=10)
    assert [(one.kind_since(0), one.message.version) for one in changes] == [
        ("message", 2),
        ("message", 5),
    ]


def test_a_new_consumer_begins_with_the_next_message(ila: Caller, room: Room) -> None:
    store_message(ila, room)
    running = Follows(Recorder())
    assert running.round() == []
    store_message(ila, room)
    assert running.round() == [(room.pk, 2)]


def test_a_crash_repeats_one_step_and_loses_none(follows: Follows, ila: Caller, room: Room) -> None:
    for _ in range(3):
        store_message(ila, room)
    follows.consumer.fails = True
    with pytest.raises(RuntimeError, match="killed"):
        follows.round()
    follows.thread._lease.release()
    again = Follows(Recorder())
    assert again.round() == [(room.pk, version) for version in (1, 2, 3)]


def test_a_long_backlog_is_handled_in_bounded_ranges(ila: Caller, room: Room) -> None:
    running = Follows(Recorder(max_versions=2))
    running.round()
    for _ in range(5):
        store_message(ila, room)
    assert running.round() == [(room.pk, version) for version in range(1, 6)]
    assert running.consumer.steps == 3


def test_a_deleted_room_holds_up_nothing(follows: Follows, ila: Caller, room: Room) -> None:
    other = make_room(RoomKind.GROUP, owner=[ila.user_id])
    store_message(ila, room)
    store_message(ila, other)
    Room.objects.filter(pk=room.pk).update(deleted_at=timezone.now())
    assert follows.round() == [(other.pk, 1)]
    assert Follower.objects.get().message_id == Message.objects.latest("pk").pk


def test_changed_rooms_are_found_by_primary_key(ila: Caller, room: Room) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("reads SQLite's plans")
    beyond = Message.objects.filter(pk__gt=7).values("room_id")
    assert "messaging_message USING INTEGER PRIMARY KEY (rowid>?)" in beyond.explain()
    changes = LaterChange.objects.filter(pk__gt=7).values("room_id")
    assert "USING INTEGER PRIMARY KEY (rowid>?)" in changes.explain()


def test_a_send_writes_nothing_for_followers(ila: Caller, room: Room) -> None:
    store_message(ila, room)
    assert not LaterChange.objects.exists()
    assert not Cursor.objects.exists()


def test_later_changes_are_pruned_once_all_have_passed(
    follows: Follows, ila: Caller, room: Room
) -> None:
    message = store_message(ila, room)
    editing.edit_message(caller=ila, room_id=room.pk, message_id=message.id, content="Hey")
    slow = Follower.objects.create(name="slow")
    follows.round()
    follows.thread._prune_at = 0
    follows.round()
    assert LaterChange.objects.exists()
    slow.delete()
    follows.thread._prune_at = 0
    follows.round()
    assert not LaterChange.objects.exists()


def test_nothing_is_logged_for_followers_that_are_off(
    ila: Caller, room: Room, settings: Settings
) -> None:
    settings.CHAT_FOLLOWER = "off"
    message = store_message(ila, room)
    editing.edit_message(caller=ila, room_id=room.pk, message_id=message.id, content="Hey")
    assert not LaterChange.objects.exists()


# The lease


def test_one_process_has_the_lease_until_it_expires_or_is_released(settings: Settings) -> None:
    mine, other = Lease("recorder"), Lease("recorder")
    assert mine.hold()
    assert not other.hold()
    Follower.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert other.hold()
    mine._renew_at = 0
    assert not mine.hold()
    other.release()
    assert mine.hold()


def test_a_lease_is_renewed_before_it_expires(settings: Settings) -> None:
    mine = Lease("recorder")
    assert mine.hold()
    before = Follower.objects.get().expires_at
    mine._renew_at = 0
    assert mine.hold()
    after = Follower.objects.get().expires_at
    assert before is not None
    assert after is not None
    assert after > before
    assert timedelta(seconds=14) < after - timezone.now() < timedelta(seconds=16)


def test_a_process_that_lost_its_lease_moves_no_cursor(
    follows: Follows, ila: Caller, room: Room
) -> None:
    store_message(ila, room)
    Follower.objects.update(holder="another")
    with pytest.raises(LeaseLost):
        follows.round()
    assert not Cursor.objects.exists()


def test_lag_is_the_age_of_the_oldest_message_that_waits(
    follows: Follows, ila: Caller, room: Room
) -> None:
    store_message(ila, room)
    assert lag_seconds("recorder") == 0
    Message.objects.update(created_at=timezone.now() - timedelta(minutes=5))
    assert 299 < lag_seconds("recorder") < 310
    follows.round()
    assert lag_seconds("recorder") == 0


# Commits out of order, which only PostgreSQL has


@pytest.fixture
def open_transaction() -> Iterator[None]:
    """A transaction of another connection that has its number and stays open."""
    if connection.vendor != "postgresql":
        pytest.skip("SQLite's writers run one after the other")
    other = connection.copy()
    user = make_user()
    session = make_session(user)
    other.set_autocommit(False)
    with other.cursor() as cursor:
        cursor.execute("SELECT 1 FROM accounts_session WHERE id = %s FOR UPDATE", [session.pk])
    yield
    other.rollback()
    other.close()


def test_ids_do_not_settle_while_an_earlier_transaction_runs(
    follows: Follows, open_transaction: None, ila: Caller, room: Room
) -> None:
    before = Follower.objects.get().message_id
    store_message(ila, room)
    assert follows.round() == [(room.pk, 1)]
    assert Follower.objects.get().message_id == before
    assert find_changed(Position(before, 0)).first_versions == {room.pk: 1}
    assert follows.round() == []
