"""Pushes reach members who are away, once, with what they have not read."""

import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NoReturn

import pytest
from django.db.models import F
from django.utils import timezone
from py_vapid import Vapid02
from pytest_django import Settings

from accounts import sessions
from accounts.auth import Caller
from accounts.models import User
from messaging import deletion, editing
from messaging.follower.loop import FollowerThread
from messaging.models import DuePush, Message, PushSubscription
from messaging.push import decisions, http_post, request_slots, services
from messaging.push.public_addresses import ResolverBusy
from messaging.push.sending import topic_of
from messaging.push.vapid import from_base64url, vapid_keys
from rooms import membership, notifications
from rooms.models import Member, Notify, Room
from tests.factories import commits, make_caller, make_session, store_message
from tests.push_service import Device, PushService, Received

from .conftest import Sockets, subscribe, subscribed

pytestmark = commits


def follow(follower: FollowerThread, later: float = 0.0) -> None:
    """Lets time pass, then follows until everything that is due is sent and stored."""
    pass_time(timedelta(seconds=later))
    delivery = follower._consumer._delivery  # type: ignore[attr-defined]
    more = True
    while more:
        more = follower.follow()
        for _, _, sent in list(delivery._running.values()):
            sent.result(15)
            more = True


def pass_time(past: timedelta) -> None:
    """Moves all stored times into the past."""
    Message.objects.update(created_at=F("created_at") - past)
    DuePush.objects.update(due_at=F("due_at") - past, since=F("since") - past)
    PushSubscription.objects.update(retry_at=F("retry_at") - past)
    Member.objects.update(muted_until=F("muted_until") - past)


def member_of(room: Room) -> Caller:
    """Returns another user who is a member."""
    caller = make_caller()
    Member.objects.create(room=room, user_id=caller.user_id)
    return caller


def read_up_to(caller: Caller, room: Room, seq: int) -> None:
    Member.objects.filter(room=room, user_id=caller.user_id).update(last_read_seq=seq)


def test_member_who_is_away_receives_the_message(
    follower: FollowerThread, device: Device, ila: Caller, room: Room
) -> None:
    store_message(ila, room, "Where do we go on Saturday?")
    follow(follower)
    assert device.received == []
    follow(follower, 11)
    assert device.payloads() == [
        {
            "room_id": room.pk,
            "room": "friends",
            "sender": ila.user_id,
            "username": "ila",
            "seq": 1,
            "content": "Where do we go on Saturday?",
            "unread": 1,
        }
    ]
    follow(follower, 11)
    assert len(device.received) == 1
    assert not DuePush.objects.exists()


def test_push_service_receives_topic_ttl_and_a_valid_signature(
    follower: FollowerThread, device: Device, push_service: PushService, ila: Caller, room: Room
) -> None:
    store_message(ila, room)
    follow(follower, 11)
    (push,) = device.received
    assert push.headers["topic"] == topic_of(room.pk)
    assert len(push.headers["topic"]) <= 32
    assert push.headers["ttl"] == "86400"
    assert push.headers["content-encoding"] == "aes128gcm"
    assert "hello" not in str(push)
    assert Vapid02.verify(push.headers["authorization"])
    keys = vapid_keys()
    assert keys is not None
    assert push.headers["authorization"].endswith(f"k={keys.public_key}")
    token = push.headers["authorization"].partition("t=")[2].partition(",")[0]
    claims = from_base64url(token.split(".")[1]).decode()
    assert f'"aud":"{push_service.url}"' in claims.replace(" ", "")


def test_author_receives_no_push(
    follower: FollowerThread, push_service: PushService, ila: Caller, room: Room
) -> None:
    own = subscribed(push_service.device(), ila)
    store_message(ila, room)
    follow(follower, 11)
    assert own.received == []


def test_nothing_is_pushed_to_a_member_with_an_open_socket(
    follower: FollowerThread,
    device: Device,
    sockets: Sockets,
    ila: Caller,
    kaushal: Caller,
    room: Room,
) -> None:
    sockets.users = {kaushal.user_id}
    store_message(ila, room)
    follow(follower)
    # It received the message; closing afterwards does not make it missed.
    sockets.users = set()
    follow(follower, 11)
    assert device.received == []


def test_nothing_is_pushed_to_a_member_who_returns_in_time(
    follower: FollowerThread,
    device: Device,
    sockets: Sockets,
    ila: Caller,
    kaushal: Caller,
    room: Room,
) -> None:
    store_message(ila, room)
    follow(follower)
    sockets.users = {kaushal.user_id}
    follow(follower, 11)
    assert device.received == []


def test_nothing_is_pushed_to_a_member_who_has_read(
    follower: FollowerThread, device: Device, ila: Caller, kaushal: Caller, room: Room
) -> None:
    store_message(ila, room)
    follow(follower)
    read_up_to(kaushal, room, 1)
    follow(follower, 11)
    assert device.received == []


def test_push_waits_a_while_for_the_answer_who_has_a_socket(
    follower: FollowerThread, device: Device, sockets: Sockets, ila: Caller, room: Room
) -> None:
    sockets.known = False
    store_message(ila, room)
    follow(follower)
    follow(follower, 11)
    assert device.received == []
    follow(follower, 50)
    assert device.received == []
    follow(follower, 11)
    assert len(device.payloads()) == 1


def test_messages_of_one_room_share_a_push_and_the_next_one_waits(
    follower: FollowerThread, device: Device, ila: Caller, room: Room
) -> None:
    for number in range(3):
        store_message(ila, room, f"message {number}")
    follow(follower)
    follow(follower, 11)
    assert [one["seq"] for one in device.payloads()] == [3]
    store_message(ila, room, "message 3")
    Message.objects.filter(seq=4).update(created_at=timezone.now() - timedelta(seconds=30))
    follow(follower, 8)
    assert len(device.received) == 1, "one in 10 s"
    follow(follower, 3)
    assert [(one["seq"], one["unread"]) for one in device.payloads()] == [(3, 3), (4, 4)]


def test_a_message_is_pushed_when_it_is_old_enough(
    follower: FollowerThread, device: Device, ila: Caller, room: Room
) -> None:
    for number in range(3):
        store_message(ila, room, f"message {number}")
    follow(follower, 11)
    assert [one["seq"] for one in device.payloads()] == [3]
    store_message(ila, room, "message 3")
    follow(follower, 2 * 11)
    assert [(one["seq"], one["unread"]) for one in device.payloads()] == [(3, 3), (4, 4)]
    first, second = device.received
    assert second.headers["topic"] == first.headers["topic"]


def test_push_shows_messages_as_they_are_when_it_is_sent(
    follower: FollowerThread, device: Device, ila: Caller, room: Room
) -> None:
    first = store_message(ila, room, "first")
    second = store_message(ila, room, "second")
    follow(follower)
    deletion.delete_message(caller=ila, room_id=room.pk, message_id=second.id)
    editing.edit_message(caller=ila, room_id=room.pk, message_id=first.id, content="x" * 300)
    follow(follower, 11)
    assert [(one["seq"], one["content"]) for one in device.payloads()] == [(1, "x" * 200)]


@pytest.mark.parametrize("change", [{"muted": True}, {"notify": Notify.NONE}])
def test_nothing_is_pushed_from_a_room_that_its_member_silenced(
    change: dict[str, object],
    follower: FollowerThread,
    device: Device,
    ila: Caller,
    kaushal: Caller,
    room: Room,
) -> None:
    notifications.change_notifications(user_id=kaushal.user_id, room_id=room.pk, **change)  # type: ignore[arg-type]
    store_message(ila, room)
    follow(follower, 11)
    assert device.received == []


def test_only_mentions_are_pushed_to_a_member_who_chose_so(
    follower: FollowerThread, device: Device, ila: Caller, kaushal: Caller, room: Room
) -> None:
    notifications.change_notifications(
        user_id=kaushal.user_id, room_id=room.pk, notify=Notify.MENTIONS
    )
    store_message(ila, room, "to nobody")
    follow(follower, 11)
    assert device.received == []
    store_message(ila, room, f"to @{kaushal.username}")
    store_message(ila, room, "to nobody again")
    follow(follower, 11)
    assert [one["content"] for one in device.payloads()] == [f"to @{kaushal.username}"]


def test_a_room_speaks_again_after_its_time_of_silence(
    follower: FollowerThread, device: Device, ila: Caller, kaushal: Caller, room: Room
) -> None:
    until = timezone.now() + timedelta(seconds=5)
    notifications.change_notifications(user_id=kaushal.user_id, room_id=room.pk, muted_until=until)
    store_message(ila, room)
    follow(follower)
    follow(follower, 11)
    assert device.received == []
    store_message(ila, room)
    follow(follower, 11)
    assert [one["seq"] for one in device.payloads()] == [2]


def test_nothing_is_pushed_in_quiet_hours(
    follower: FollowerThread, device: Device, ila: Caller, kaushal: Caller, room: Room
) -> None:
    always = {"start": "00:00", "end": "23:59", "timezone": "UTC"}
    if timezone.now().strftime("%H:%M") == "23:59":
        always = {"start": "23:00", "end": "22:00", "timezone": "UTC"}
    User.objects.filter(pk=kaushal.user_id).update(quiet_hours=always)
    store_message(ila, room)
    follow(follower, 11)
    assert device.received == []


def test_quiet_hours_that_cannot_be_read_stop_no_push(
    follower: FollowerThread,
    device: Device,
    push_service: PushService,
    ila: Caller,
    kaushal: Caller,
    room: Room,
) -> None:
    unreadable = {"start": "1\u0663:00", "end": "07:00", "timezone": "UTC"}
    User.objects.filter(pk=kaushal.user_id).update(quiet_hours=unreadable)
    innocent = subscribed(push_service.device(), member_of(room))
    store_message(ila, room)
    follow(follower, 11)
    assert len(innocent.received) == len(device.received) == 1


def test_row_that_cannot_be_decided_is_given_up_with_an_incident(
    follower: FollowerThread,
    device: Device,
    push_service: PushService,
    ila: Caller,
    kaushal: Caller,
    room: Room,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def failing(quiet_hours: dict[str, str] | None, _: datetime) -> bool:
        if quiet_hours is not None:
            raise RuntimeError("a fault in the decision")
        return False

    monkeypatch.setattr(decisions, "is_quiet", failing)
    User.objects.filter(pk=kaushal.user_id).update(quiet_hours={"start": "22:00"})
    innocent = subscribed(push_service.device(), member_of(room))
    store_message(ila, room)
    follow(follower, 11)
    assert (len(innocent.received), len(device.received)) == (1, 0)
    (logged,) = [one for one in caplog.records if hasattr(one, "incident")]
    assert "while a push was decided" in logged.getMessage()
    assert not DuePush.objects.filter(subscription__user=kaushal.user_id).exists()


def test_nothing_is_pushed_after_a_removal(
    follower: FollowerThread, device: Device, ila: Caller, room: Room
) -> None:
    store_message(ila, room)
    follow(follower)
    membership.remove_member(user_id=ila.user_id, room_id=room.pk, username="kaushal")
    follow(follower, 11)
    assert device.received == []


def test_subscription_ends_with_its_session(
    follower: FollowerThread, device: Device, ila: Caller, kaushal: Caller, room: Room
) -> None:
    store_message(ila, room)
    follow(follower)
    sessions.end_session(user_id=kaushal.user_id, session_id=kaushal.session_id)
    follow(follower, 11)
    assert device.received == []
    follower._consumer._ended_at = 0  # type: ignore[attr-defined]
    follow(follower)
    assert not PushSubscription.objects.exists()


def test_all_devices_of_a_user_receive_a_push(
    follower: FollowerThread,
    device: Device,
    push_service: PushService,
    ila: Caller,
    kaushal: Caller,
    room: Room,
) -> None:
    session = make_session(User.objects.get(pk=kaushal.user_id))
    phone = Caller(kaushal.user_id, "kaushal", session.pk, kaushal.expires_at)
    other = subscribed(push_service.device(), phone)
    store_message(ila, room)
    follow(follower, 11)
    assert len(device.payloads()) == len(other.payloads()) == 1


# Answers of push services


@pytest.mark.parametrize("status", [404, 410])
def test_a_device_that_is_gone_is_forgotten(
    status: int,
    follower: FollowerThread,
    device: Device,
    push_service: PushService,
    ila: Caller,
    room: Room,
) -> None:
    push_service.answer = lambda _: (status, {})
    store_message(ila, room)
    follow(follower, 11)
    assert len(device.received) == 1
    assert not PushSubscription.objects.exists()
    assert not DuePush.objects.exists()


@pytest.mark.parametrize("status", [301, 400, 403, 413, 429, 500, 503])
def test_other_failures_are_tried_again_with_growing_delays(
    status: int,
    follower: FollowerThread,
    device: Device,
    push_service: PushService,
    ila: Caller,
    room: Room,
) -> None:
    push_service.answer = lambda _: (status, {"Location": f"{push_service.url}/elsewhere"})
    store_message(ila, room)
    follow(follower, 11)
    delays = []
    for _ in range(3):
        stored = PushSubscription.objects.get()
        due = DuePush.objects.get()
        assert stored.retry_at == due.due_at
        delays.append((due.due_at - timezone.now()).total_seconds())
        DuePush.objects.update(due_at=timezone.now())
        PushSubscription.objects.update(retry_at=None)
        follow(follower)
    assert delays[0] > 0
    assert delays[1] > 1.5 * delays[0]
    assert delays[2] > 1.5 * delays[1]
    assert len(device.received) == 4
    assert {one.path for one in push_service.received} == {device.path}
    push_service.answer = lambda _: (201, {})
    DuePush.objects.update(due_at=timezone.now())
    PushSubscription.objects.update(retry_at=None)
    follow(follower)
    assert PushSubscription.objects.get().failures == 0
    follow(follower, 11)
    assert not DuePush.objects.exists()


def test_resolver_without_a_free_thread_does_not_hold_back_the_device(
    follower: FollowerThread,
    device: Device,
    ila: Caller,
    room: Room,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def resolve(host: str, port: int) -> NoReturn:
        raise ResolverBusy

    monkeypatch.setattr(http_post, "resolve", resolve)
    store_message(ila, room)
    follow(follower, 11)
    stored = PushSubscription.objects.get()
    assert (stored.failures, stored.retry_at) == (0, None)
    monkeypatch.undo()
    follow(follower, 2)
    assert len(device.received) == 1


def test_a_push_service_may_ask_for_more_time(
    follower: FollowerThread, device: Device, push_service: PushService, ila: Caller, room: Room
) -> None:
    push_service.answer = lambda _: (429, {"Retry-After": "120"})
    store_message(ila, room)
    follow(follower, 11)
    assert DuePush.objects.get().due_at > timezone.now() + timedelta(seconds=110)


def test_failures_hold_back_the_device_in_all_rooms(
    follower: FollowerThread, device: Device, push_service: PushService, ila: Caller, room: Room
) -> None:
    push_service.answer = lambda _: (500, {})
    store_message(ila, room)
    follow(follower, 11)
    later = timezone.now() + timedelta(hours=1)
    PushSubscription.objects.update(retry_at=later)
    DuePush.objects.update(due_at=timezone.now())
    follow(follower)
    assert len(device.received) == 1
    assert DuePush.objects.get().due_at == later


def test_a_push_is_given_up_after_a_day(
    follower: FollowerThread, device: Device, push_service: PushService, ila: Caller, room: Room
) -> None:
    push_service.answer = lambda _: (500, {})
    store_message(ila, room)
    follow(follower, 11)
    DuePush.objects.update(due_at=timezone.now(), since=timezone.now() - timedelta(hours=25))
    PushSubscription.objects.update(retry_at=None)
    follow(follower)
    assert len(device.received) == 1
    assert not DuePush.objects.exists()


def test_old_messages_are_not_pushed(
    follower: FollowerThread, device: Device, ila: Caller, room: Room
) -> None:
    store_message(ila, room)
    Message.objects.update(created_at=timezone.now() - timedelta(hours=25))
    follow(follower, 11)
    assert device.received == []


def test_a_slow_push_service_delays_no_other(
    follower: FollowerThread,
    device: Device,
    push_service: PushService,
    ila: Caller,
    room: Room,
) -> None:
    slow = subscribed(push_service.device(), member_of(room))

    others_done = threading.Event()

    def answer(push: Received) -> tuple[int, dict[str, str]]:
        if push.path == slow.path:
            others_done.wait(5)
        return 201, {}

    push_service.answer = answer
    store_message(ila, room)
    follower.follow()
    pass_time(timedelta(seconds=11))
    began = time.monotonic()
    follower.follow()
    follower.follow()
    assert len(device.wait(timeout=4)) == 1
    assert time.monotonic() - began < 4
    others_done.set()


@pytest.fixture
def slow_paths(push_service: PushService) -> Iterator[set[str]]:
    """Paths at which the push service answers only after the test."""
    paths: set[str] = set()
    ended = threading.Event()

    def answer(push: Received) -> tuple[int, dict[str, str]]:
        if push.path in paths:
            ended.wait(8)
        return 201, {}

    push_service.answer = answer
    yield paths
    ended.set()


def follow_until_received(follower: FollowerThread, device: Device, timeout: float = 3.0) -> None:
    deadline = time.monotonic() + timeout
    while not device.received and time.monotonic() < deadline:
        follower.follow()
        time.sleep(0.02)


def test_slow_endpoints_of_one_user_delay_nobody_else(
    follower: FollowerThread,
    device: Device,
    push_service: PushService,
    slow_paths: set[str],
    ila: Caller,
    room: Room,
) -> None:
    slow = [push_service.device() for _ in range(20)]
    slow_paths |= {one.path for one in slow}
    other = member_of(room)
    for one in slow:
        subscribe(one, other)
    store_message(ila, room)
    follower.follow()
    pass_time(timedelta(seconds=11))
    DuePush.objects.filter(subscription__user=other.user_id).update(due_at=F("since"))
    follow_until_received(follower, device)
    assert len(device.received) == 1


def test_slow_host_delays_no_other_host(
    follower: FollowerThread,
    push_service: PushService,
    slow_paths: set[str],
    ila: Caller,
    kaushal: Caller,
    room: Room,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(request_slots, "SLOW", 0.0)
    slow = [subscribed(push_service.device(), member_of(room)) for _ in range(20)]
    store_message(ila, room)
    follow(follower, 11)
    monkeypatch.undo()
    slow_paths |= {one.path for one in slow}
    # Another name of the same address.
    sent = push_service.device()
    elsewhere = sent.endpoint.replace("127.0.0.1", "127.1")
    services.subscribe(caller=kaushal, endpoint=elsewhere, **sent.subscription()["keys"])
    store_message(ila, room)
    follower.follow()
    pass_time(timedelta(seconds=22))
    DuePush.objects.exclude(subscription__user=kaushal.user_id).update(due_at=F("since"))
    follow_until_received(follower, sent)
    assert len(sent.received) == 1
    # Each has the push of the first message, and two wait for the answer to the second.
    assert sum(len(one.received) for one in slow) == len(slow) + 2


def test_progress_survives_a_restart(
    follower: FollowerThread, sockets: Sockets, device: Device, ila: Caller, room: Room
) -> None:
    from messaging.push.consumer import PushConsumer

    store_message(ila, room)
    follow(follower)
    assert DuePush.objects.count() == 1
    follower._lease.release()
    again = FollowerThread(PushConsumer(sockets))
    assert again._lease.hold()
    follow(again, 11)
    assert [one["seq"] for one in device.payloads()] == [1]
    follow(again, 11)
    assert len(device.received) == 1


def test_without_keys_nothing_is_sent(
    follower: FollowerThread, device: Device, ila: Caller, room: Room, settings: Settings
) -> None:
    settings.DEBUG = False
    store_message(ila, room)
    follow(follower, 11)
    assert device.received == []
    settings.DEBUG = True
    follow(follower)
    assert len(device.received) == 1


def test_many_devices_receive_their_pushes(
    follower: FollowerThread, push_service: PushService, ila: Caller, room: Room
) -> None:
    devices = [subscribed(push_service.device(), member_of(room)) for _ in range(40)]
    store_message(ila, room)
    follow(follower, 11)
    assert [len(one.payloads()) for one in devices] == [1] * 40


def test_private_room_has_no_name(
    follower: FollowerThread, push_service: PushService, ila: Caller, kaushal: Caller
) -> None:
    from tests.factories import make_private_room

    private = make_private_room(ila.user_id, User.objects.get(pk=kaushal.user_id))
    device = push_service.device()
    subscribe(device, kaushal)
    store_message(ila, private)
    follow(follower, 11)
    (payload,) = device.payloads()
    assert payload["room"] is None
    assert payload["room_id"] == private.pk
