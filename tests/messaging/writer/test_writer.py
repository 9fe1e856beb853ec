"""The writer: one order, one commit for many, and one bad message fails alone."""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from django.db import IntegrityError, OperationalError, connection, transaction
from prometheus_client import REGISTRY
from pytest_django import Settings

from accounts.auth import Caller
from accounts.kernel import database_errors
from accounts.kernel.errors import Busy, Forbidden, Invalid, SessionEnded
from accounts.kernel.events import Event, committed
from accounts.models import Session, User
from messaging import services
from messaging.events import MessageSent
from messaging.models import Message
from messaging.writer import batch, queue
from messaging.writer.batch import MessageBatch
from messaging.writer.drafts import Sent
from messaging.writer.queue import Writer
from messaging.writer.read_markers import MarkRead, ReadMarker
from rooms.errors import NoSuchRoom
from rooms.membership import remove_member
from rooms.models import Member, Room, RoomKind
from rooms.services import delete_room
from tests.factories import (
    collect_events,
    commits,
    draft,
    make_caller,
    make_private_room,
    make_room,
    make_session,
    make_user,
    store_message,
    store_now,
)

pytestmark = pytest.mark.django_db

WITHIN = 10.0


@pytest.fixture
def thread() -> Iterator[Writer]:
    """A writer of this test, closed afterwards."""
    own = Writer(capacity=20)
    yield own
    own.close()


@pytest.fixture
def room(ila: Caller) -> Room:
    return make_room(RoomKind.GROUP, name="friends", owner=[ila.user_id])


def kinds(outcomes: Sequence[object]) -> list[type]:
    return [type(outcome) for outcome in outcomes]


def contents(room: Room) -> list[str]:
    rows = Message.objects.filter(room=room).order_by("seq")
    return list(rows.values_list("content", flat=True))


# Batches


def test_batch_is_stored_in_queue_order(ila: Caller, room: Room) -> None:
    outcomes = store_now(*[draft(ila, room, str(number)) for number in range(50)])
    assert [one.message.seq for one in outcomes if isinstance(one, Sent)] == list(range(1, 51))
    assert contents(room) == [str(number) for number in range(50)]
    room.refresh_from_db()
    assert (room.last_seq, room.version) == (50, 50)


def test_rooms_of_a_batch_count_separately(ila: Caller, room: Room) -> None:
    other = make_room(member=[ila.user_id])
    outcomes = store_now(*[draft(ila, where) for where in (room, other, other, room)])
    counted = [(one.message.room_id, one.message.seq) for one in outcomes if isinstance(one, Sent)]
    assert counted == [(room.pk, 1), (other.pk, 1), (other.pk, 2), (room.pk, 2)]


def test_answer_is_the_stored_message(ila: Caller, room: Room) -> None:
    sent = store_message(ila, room, "Hey", client_id="one")
    stored = Message.objects.get()
    assert (sent.id, sent.seq, sent.version) == (stored.pk, stored.seq, stored.version)
    assert (sent.timestamp, sent.content) == (stored.created_at, stored.content)
    assert (sent.room, sent.username, sent.receiver) == ("friends", "ila", None)


def test_private_message_names_its_receiver(ila: Caller) -> None:
    other = make_user()
    sent = store_message(ila, make_private_room(ila.user_id, other))
    assert (sent.room, sent.receiver) == (None, other.pk)


def test_invalid_message_fails_alone(ila: Caller, room: Room) -> None:
    stranger = make_caller()
    outcomes = store_now(
        draft(ila, room, "first"),
        draft(stranger, room, "from outside"),
        draft(ila, room, "quote of nothing", reply_to=999),
        draft(ila, room, "last"),
    )
    assert kinds(outcomes) == [Sent, NoSuchRoom, Invalid, Sent]
    assert contents(room) == ["first", "last"]
    room.refresh_from_db()
    assert (room.last_seq, room.version) == (2, 2)


@commits
@pytest.mark.parametrize("bad", [None, "\ud800"])  # violates NOT NULL; UTF-8 cannot encode it
def test_message_refused_by_the_database_fails_alone(
    ila: Caller, room: Room, thread: Writer, bad: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with transaction.atomic(), caplog.at_level(logging.CRITICAL):
        answers = [thread.submit(draft(ila, room, text)) for text in ("first", bad, "last")]
    first, refused, last = answers
    assert (first.result(WITHIN).message.seq, last.result(WITHIN).message.seq) == (1, 2)
    with pytest.raises(Busy):
        refused.result(WITHIN)
    assert contents(room) == ["first", "last"]


@pytest.mark.parametrize("how", ["elsewhere", "deleted", "unknown"])
def test_reply_requires_a_message_of_the_room(ila: Caller, room: Room, how: str) -> None:
    quoted = store_message(ila, make_room() if how == "elsewhere" else room)
    if how == "deleted":
        Message.objects.update(deleted=True)
    reply_to = 999_999 if how == "unknown" else quoted.id
    assert kinds(store_now(draft(ila, room, reply_to=reply_to))) == [Invalid]


def test_reply_to_is_stored(ila: Caller, room: Room) -> None:
    quoted = store_message(ila, room)
    assert store_message(ila, room, reply_to=quoted.id).reply_to == quoted.id


# Permissions


def test_sending_joins_a_public_room_once(ila: Caller) -> None:
    room, author = make_room(), make_caller()
    store_message(author, room)
    store_now(draft(ila, room), draft(ila, room))
    member = Member.objects.get(room=room, user_id=ila.user_id)
    assert member.last_read_seq == 3
    room.refresh_from_db()
    assert room.member_count == room.members.count() == 2


def test_sending_advances_only_the_senders_read_marker(ila: Caller, room: Room) -> None:
    other = make_caller()
    Member.objects.create(room=room, user_id=other.user_id)
    store_now(draft(ila, room), draft(ila, room), draft(other, room), draft(ila, room))
    marks = Member.objects.order_by("pk").values_list("last_read_seq", flat=True)
    assert list(marks) == [4, 3]


@pytest.mark.parametrize(
    ("kind", "refusal"), [(RoomKind.GROUP, NoSuchRoom), (RoomKind.PUBLIC, Forbidden)]
)
def test_removed_member_cannot_send(kind: RoomKind, refusal: type[Exception]) -> None:
    owner, gone = make_user(), make_caller()
    room = make_room(kind, owner=[owner.pk], member=[gone.user_id])
    remove_member(user_id=owner.pk, room_id=room.pk, username=gone.username)
    assert kinds(store_now(draft(gone, room))) == [refusal]


def test_deleted_room_accepts_no_messages(ila: Caller, room: Room) -> None:
    delete_room(user_id=ila.user_id, room_id=room.pk)
    assert kinds(store_now(draft(ila, room))) == [NoSuchRoom]


def test_ended_session_cannot_send(ila: Caller, room: Room) -> None:
    other = make_session(User.objects.get(pk=ila.user_id))
    ended = Caller(ila.user_id, "ila", other.pk, ila.expires_at)
    other.ended_at = other.created_at
    other.save()
    assert kinds(store_now(draft(ended, room), draft(ila, room))) == [SessionEnded, Sent]


def test_session_of_another_user_cannot_send(ila: Caller, room: Room) -> None:
    other = make_caller()
    mixed = Caller(ila.user_id, "ila", other.session_id, ila.expires_at)
    assert kinds(store_now(draft(mixed, room))) == [SessionEnded]


def test_deactivated_user_cannot_send(ila: Caller, room: Room) -> None:
    User.objects.filter(pk=ila.user_id).update(is_active=False)
    assert kinds(store_now(draft(ila, room))) == [SessionEnded]


@commits
def test_removal_committed_first_wins(thread: Writer) -> None:
    owner, gone = make_user(), make_caller()
    room = make_room(RoomKind.GROUP, owner=[owner.pk], member=[gone.user_id])
    with transaction.atomic():
        remove_member(user_id=owner.pk, room_id=room.pk, username=gone.username)
        answer = thread.submit(draft(gone, room))
        with pytest.raises(TimeoutError):
            answer.result(0.1)
    with pytest.raises(NoSuchRoom):
        answer.result(WITHIN)
    assert not Message.objects.exists()


@commits
def test_session_end_committed_first_wins(ila: Caller, room: Room, thread: Writer) -> None:
    with transaction.atomic():
        Room.objects.update(title="held")
        Session.objects.update(ended_at="2026-01-01T00:00:00Z")
        answer = thread.submit(draft(ila, room))
        with pytest.raises(TimeoutError):
            answer.result(0.1)
    with pytest.raises(SessionEnded):
        answer.result(WITHIN)


# The thread


@commits
def test_queued_writes_are_stored_together(ila: Caller, room: Room, thread: Writer) -> None:
    batches: list[int] = []

    def listen(sender: object, events: Sequence[Event], **kwargs: object) -> None:
        batches.append(len(events))

    committed.connect(listen)
    with transaction.atomic():
        Room.objects.update(title="held")  # takes the lock that the writer needs
        answers = [thread.submit(draft(ila, room, str(number))) for number in range(10)]
    seqs = [answer.result(WITHIN).message.seq for answer in answers]
    committed.disconnect(listen)
    assert seqs == list(range(1, 11))
    assert sum(batches) == 10
    assert len(batches) <= 2


@commits
def test_event_loop_callers_are_answered_on_their_loop(
    ila: Caller, room: Room, thread: Writer
) -> None:
    import asyncio

    async def send() -> Sent:
        return await asyncio.wait_for(thread.submit_from_loop(draft(ila, room)), WITHIN)

    assert asyncio.run(send()).message.seq == 1


@commits
def test_event_loop_callers_time_out_on_a_hanging_database(
    ila: Caller,
    room: Room,
    thread: Writer,
    monkeypatch: pytest.MonkeyPatch,
    settings: Settings,
) -> None:
    import asyncio

    monkeypatch.setattr(services, "writer", lambda: thread)
    settings.CHAT_DATABASE_TIMEOUT = 0.05
    with transaction.atomic():
        Room.objects.update(title="held")
        with pytest.raises(Busy):
            asyncio.run(services.send_message_from_loop(draft(ila, room)))
    # Stored once the database is back; the late answer does no harm.
    assert thread.submit(draft(ila, room)).result(WITHIN).message.seq == 2


@commits
def test_full_queue_raises_busy_and_stores_accepted_writes(
    ila: Caller, room: Room, thread: Writer
) -> None:
    taken = []
    with transaction.atomic(), suppress(Busy):
        Room.objects.update(title="held")
        for number in range(100):
            taken.append(thread.submit(draft(ila, room, str(number))))  # noqa: PERF401
    # A full queue, and the writes that the thread had taken before it met the lock.
    assert 20 <= len(taken) <= 40
    seqs = [answer.result(WITHIN).message.seq for answer in taken]
    assert seqs == list(range(1, len(taken) + 1))
    assert thread.submit(draft(ila, room)).result(WITHIN).message.seq == len(taken) + 1


@commits
@pytest.mark.parametrize("fault", [OperationalError("disk I/O error"), RuntimeError("a bug")])
def test_failing_database_answers_busy_and_the_thread_survives(
    ila: Caller,
    room: Room,
    thread: Writer,
    fault: Exception,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(self: MessageBatch) -> None:
        raise fault

    with (
        collect_events() as events,
        monkeypatch.context() as broken,
        caplog.at_level(logging.CRITICAL),
    ):
        broken.setattr(MessageBatch, "save", fail)
        with pytest.raises(Busy):
            thread.submit(draft(ila, room, client_id="one")).result(WITHIN)
    assert events == []
    again = thread.submit(draft(ila, room, client_id="one")).result(WITHIN)
    assert (again.duplicate, again.message.seq) == (False, 1)


@commits
def test_failed_commit_answers_busy_and_publishes_nothing(
    ila: Caller, room: Room, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise OperationalError("disk I/O error")

    with (
        collect_events() as events,
        monkeypatch.context() as broken,
        caplog.at_level(logging.CRITICAL),
    ):
        broken.setattr(connection, "_commit", fail)
        assert store_now(draft(ila, room)) == [None]
    assert events == []
    assert contents(room) == []


@commits
def test_batch_refused_by_the_database_is_stored_one_by_one(
    ila: Caller, room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = MessageBatch.save

    def refuse_many(self: MessageBatch) -> None:
        if len(self._new) > 1:
            raise IntegrityError("no more than one")
        save(self)

    monkeypatch.setattr(MessageBatch, "save", refuse_many)
    with collect_events() as events:
        outcomes = store_now(*[draft(ila, room, text) for text in "abc"])
    assert kinds(outcomes) == [Sent] * 3
    assert contents(room) == ["a", "b", "c"]
    assert len(events) == 3


def failing_saves(*sqlstates: str | None) -> Callable[[MessageBatch], None]:
    """A `MessageBatch.save` that first fails in these ways, as PostgreSQL would."""
    faults, save = list(sqlstates), MessageBatch.save

    def fail(self: MessageBatch) -> None:
        if not faults:
            return save(self)
        cause = Exception("of the driver")
        cause.sqlstate = faults.pop(0)  # type: ignore[attr-defined]
        raise OperationalError("of Django") from cause

    return fail


@commits
@pytest.mark.parametrize("sqlstate", ["40P01", "40001"])
def test_batch_that_lost_a_deadlock_is_retried(
    ila: Caller, room: Room, monkeypatch: pytest.MonkeyPatch, sqlstate: str
) -> None:
    monkeypatch.setattr(MessageBatch, "save", failing_saves(sqlstate))
    before = REGISTRY.get_sample_value("chat_writer_repeated_batches_total")
    with collect_events() as events:
        outcomes = store_now(draft(ila, room, "a"), draft(ila, room, "b"))
    assert kinds(outcomes) == [Sent] * 2
    assert contents(room) == ["a", "b"]
    assert len(events) == 2
    assert REGISTRY.get_sample_value("chat_writer_repeated_batches_total") == (before or 0.0) + 1


@commits
@pytest.mark.parametrize("sqlstates", [("40P01", "40P01"), ("57014",), (None,)])
def test_batch_is_retried_once_and_only_after_a_conflict(
    ila: Caller,
    room: Room,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    sqlstates: tuple[str | None, ...],
) -> None:
    monkeypatch.setattr(MessageBatch, "save", failing_saves(*sqlstates))
    with caplog.at_level(logging.CRITICAL):
        assert store_now(draft(ila, room)) == [None]
    assert kinds(store_now(draft(ila, room))) == [Sent]


def test_batch_of_messages_and_read_markers_takes_two_round_trips(
    ila: Caller, room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    trips: list[int] = []

    @contextmanager
    def count() -> Iterator[None]:
        trips.append(1)
        yield

    monkeypatch.setattr(batch, "one_round_trip", count)
    mark = MarkRead(ila.user_id, ila.username, room.pk, 1)
    assert kinds(store_now(draft(ila, room), mark)) == [Sent, ReadMarker]
    assert len(trips) == 2


@commits
def test_events_are_published_after_the_commit_in_version_order(ila: Caller, room: Room) -> None:
    seen: list[tuple[bool, int]] = []

    def listen(sender: object, events: Sequence[Event], **kwargs: object) -> None:
        seen.append((connection.in_atomic_block, Message.objects.count()))

    committed.connect(listen)
    with collect_events() as events:
        store_now(*[draft(ila, room, text) for text in "abc"])
    committed.disconnect(listen)
    assert seen == [(False, 3)]
    assert [event.message.version for event in events if isinstance(event, MessageSent)] == [
        1,
        2,
        3,
    ]


@commits
def test_refusals_and_repeats_publish_nothing(ila: Caller, room: Room) -> None:
    store_message(ila, room, client_id="one")
    with collect_events() as events:
        store_now(draft(ila, room, client_id="one"), draft(make_caller(), room))
    assert events == []


@commits
def test_failing_event_receiver_fails_no_send(
    ila: Caller, room: Room, thread: Writer, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(sender: object, **kwargs: object) -> None:
        raise RuntimeError("a bug")

    committed.connect(fail)
    with caplog.at_level(logging.CRITICAL):
        seqs = [thread.submit(draft(ila, room)).result(WITHIN).message.seq for _ in range(2)]
    committed.disconnect(fail)
    assert seqs == [1, 2]


@commits
def test_cancelled_caller_does_not_affect_other_answers(
    ila: Caller, room: Room, thread: Writer
) -> None:
    with transaction.atomic():
        gone, patient = (thread.submit(draft(ila, room)) for _ in range(2))
        gone.cancel()
    assert patient.result(WITHIN).message.seq in (1, 2)


@commits
def test_close_stores_accepted_writes_and_rejects_new_ones(ila: Caller, room: Room) -> None:
    own = Writer()
    answers = [own.submit(draft(ila, room)) for _ in range(5)]
    own.close()
    assert [answer.result(0).message.seq for answer in answers] == [1, 2, 3, 4, 5]
    with pytest.raises(Busy):
        own.submit(draft(ila, room))


def test_unused_writer_closes_at_once() -> None:
    Writer().close()


@commits
def test_many_threads_get_one_gapless_order(
    ila: Caller, room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "MAX_BATCH_SIZE", 7)
    own, seqs = Writer(), []

    def talk() -> None:
        answers = [own.submit(draft(ila, room)) for _ in range(25)]
        mine = [answer.result(WITHIN).message.seq for answer in answers]
        assert mine == sorted(mine)
        seqs.extend(mine)

    threads = [threading.Thread(target=talk) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(WITHIN)
    own.close()
    assert sorted(seqs) == list(range(1, 101))


def test_deleted_ids_are_not_reused(ila: Caller, room: Room) -> None:
    last = store_message(ila, room)
    Message.objects.all().delete()
    assert store_message(ila, room).id == last.id + 1


def test_missing_table_is_reported_with_the_command_to_run(
    ila: Caller, room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    def save(batch: MessageBatch) -> None:
        raise OperationalError("no such column: messaging_message.pinned")

    with monkeypatch.context() as broken:
        broken.setattr(MessageBatch, "save", save)
        broken.setattr(database_errors, "lacks_migrations", lambda: True)
        (outcome,) = store_now(draft(ila, room, "Hey"))
    assert isinstance(outcome, Busy)
    assert outcome.message == database_errors.MISSING_MIGRATIONS
    assert store_message(ila, room).seq == 1
