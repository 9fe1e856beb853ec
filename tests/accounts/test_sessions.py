"""What ends sessions, and which ended sessions are kept."""

from datetime import timedelta

import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone
from ninja_jwt.tokens import AccessToken
from pytest_django import Settings

from accounts import hashing, refreshing, services, sessions
from accounts.auth import authenticate
from accounts.events import SessionsEnded
from accounts.kernel.errors import (
    Forbidden,
    Invalid,
    InvalidCredentials,
    NoSuchSession,
    SessionEnded,
    WrongPassword,
)
from accounts.models import Session, User
from accounts.selectors import open_sessions
from tests.factories import collect_events, commits, make_session, make_user

from .service_calls import PASSWORD, change_password, log_in, log_out, meanwhile, register

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("cheap_passwords", "unlimited")]

# Ending


@commits
def test_logout_by_access_token_ends_only_its_session() -> None:
    user, pair = register()
    _, other = log_in()
    caller = authenticate(pair.access)
    with collect_events() as events:
        log_out(caller)
    assert events == [SessionsEnded(user.pk, frozenset({caller.session_id}))]
    with pytest.raises(SessionEnded):
        authenticate(pair.access)
    with pytest.raises(SessionEnded):
        refreshing.refresh_tokens(refresh=pair.refresh)
    assert authenticate(other.access).user_id


def test_logout_by_refresh_token_ends_its_session() -> None:
    _, pair = register()
    _, other = log_in()
    log_out(refresh=pair.refresh)
    with pytest.raises(SessionEnded):
        authenticate(pair.access)
    assert authenticate(other.access).user_id


def test_refresh_token_logs_out_beside_an_expired_access_token(client: Client) -> None:
    _, pair = register()
    with time_machine.travel(timedelta(minutes=61)):
        answer = client.post(
            "/api/logout",
            {"refresh": pair.refresh},
            content_type="application/json",
            headers={"Authorization": f"Bearer {pair.access}"},
        )
    assert answer.status_code == 204
    assert Session.objects.get().ended_at is not None


@commits
def test_logout_everywhere_ends_all_sessions_in_one_event() -> None:
    user, pair = register()
    log_in()
    with collect_events() as events:
        log_out(refresh=pair.refresh, everywhere=True)
    ids = frozenset(Session.objects.values_list("pk", flat=True))
    assert events == [SessionsEnded(user.pk, ids)]


@commits
def test_second_logout_is_rejected() -> None:
    _, pair = register()
    log_out(refresh=pair.refresh)
    with collect_events() as events, pytest.raises(SessionEnded):
        log_out(refresh=pair.refresh)
    assert events == []


def test_token_of_an_ended_session_cannot_end_other_sessions() -> None:
    _, pair = register()
    log_out(refresh=pair.refresh)
    _, other = log_in()
    with pytest.raises(SessionEnded):
        log_out(refresh=pair.refresh, everywhere=True)
    assert authenticate(other.access).user_id


def test_refresh_token_of_another_user_ends_no_session() -> None:
    _, pair = register()
    _, other = register("other")
    with pytest.raises(Forbidden):
        log_out(authenticate(pair.access), refresh=other.refresh)
    assert authenticate(other.access).user_id
    assert authenticate(pair.access).user_id


@commits
def test_session_can_be_ended_only_by_its_user_and_once() -> None:
    session = make_session()
    with pytest.raises(NoSuchSession):
        sessions.end_session(user_id=make_user().pk, session_id=session.pk)
    with collect_events() as events:
        sessions.end_session(user_id=session.user_id, session_id=session.pk)
    assert events == [SessionsEnded(session.user_id, frozenset({session.pk}))]
    with pytest.raises(NoSuchSession):
        sessions.end_session(user_id=session.user_id, session_id=session.pk)


@commits
def test_password_change_ends_the_other_sessions() -> None:
    user, pair = register()
    _, other = log_in()
    other_id = authenticate(other.access).session_id
    with collect_events() as events:
        change_password(user, authenticate(pair.access), PASSWORD, "another sentence")
    assert events == [SessionsEnded(user.pk, frozenset({other_id}))]
    assert authenticate(pair.access).user_id
    with pytest.raises(SessionEnded):
        authenticate(other.access)
    with pytest.raises(InvalidCredentials):
        log_in()
    assert log_in(password="another sentence")


@commits
def test_password_change_without_other_sessions_ends_none() -> None:
    user, pair = register()
    with collect_events() as events:
        change_password(user, authenticate(pair.access), PASSWORD, "another sentence")
    assert events == []


@commits
@pytest.mark.parametrize(
    ("old", "new", "error"), [("wrong", PASSWORD * 2, WrongPassword), (PASSWORD, "short", Invalid)]
)
def test_rejected_password_change_changes_nothing(
    old: str, new: str, error: type[Exception]
) -> None:
    user, pair = register()
    _, other = log_in()
    with collect_events() as events, pytest.raises(error):
        change_password(user, authenticate(pair.access), old, new)
    assert events == []
    assert authenticate(other.access).user_id
    assert log_in()


def test_password_change_is_not_overwritten_by_a_concurrent_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    thief, pair = register()
    owner, own = log_in()

    def owner_is_first() -> None:
        change_password(owner, authenticate(own.access), PASSWORD, "the owner's sentence")

    stolen = authenticate(pair.access)
    meanwhile(monkeypatch, "hash_password", owner_is_first)
    with pytest.raises(SessionEnded):
        change_password(thief, stolen, PASSWORD, "the thief's sentence")
    assert log_in(password="the owner's sentence")
    assert authenticate(own.access).user_id


def test_first_of_two_concurrent_password_changes_wins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    user, pair = register()
    again, caller = User.objects.get(), authenticate(pair.access)
    meanwhile(
        monkeypatch,
        "hash_password",
        lambda: change_password(again, caller, PASSWORD, "the first sentence"),
    )
    with pytest.raises(WrongPassword):
        change_password(user, caller, PASSWORD, "the second sentence")
    assert log_in(password="the first sentence")


def test_session_ended_meanwhile_cannot_set_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    user, pair = register()
    caller = authenticate(pair.access)
    meanwhile(monkeypatch, "hash_password", lambda: log_out(refresh=pair.refresh))
    with pytest.raises(SessionEnded):
        change_password(user, caller, PASSWORD, "another sentence")
    assert log_in()


def test_rehash_does_not_overwrite_a_changed_password(
    monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    monkeypatch.setattr(hashing.TunablePBKDF2PasswordHasher, "iterations", 1)
    user, pair = register()
    stale = User.objects.get()
    change_password(user, authenticate(pair.access), PASSWORD, "another sentence")
    renewed = "accounts.hashing.TunablePBKDF2PasswordHasher"
    settings.PASSWORD_HASHERS = [renewed, *settings.PASSWORD_HASHERS]
    assert stale.check_password(PASSWORD)
    assert log_in(password="another sentence")


def test_login_upgrades_an_old_hash(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    register()
    monkeypatch.setattr(hashing.TunablePBKDF2PasswordHasher, "iterations", 1)
    renewed = "accounts.hashing.TunablePBKDF2PasswordHasher"
    settings.PASSWORD_HASHERS = [renewed, *settings.PASSWORD_HASHERS]
    assert log_in()
    assert User.objects.get().password.startswith("pbkdf2_sha256$1$")
    assert log_in()


@commits
def test_deactivation_ends_all_sessions_in_one_event() -> None:
    user, _ = register()
    log_in()
    with collect_events() as events:
        services.deactivate(user=user)
    ids = frozenset(Session.objects.values_list("pk", flat=True))
    assert events == [SessionsEnded(user.pk, ids)]


@commits
def test_bulk_deactivation_ends_only_the_sessions_of_its_users() -> None:
    gone, also_gone, stays = (register(username=name)[0] for name in ("ila", "meera", "kaushal"))
    with collect_events() as events:
        User.objects.filter(pk=gone.pk).update(is_active=False)
        also_gone.is_active = False
        User.objects.bulk_update([also_gone], ["is_active"])
        User.objects.update(last_seen=timezone.now())
    assert events == [
        SessionsEnded(user.pk, frozenset({Session.objects.get(user=user).pk}))
        for user in (gone, also_gone)
    ]
    assert [row.user for row in Session.objects.filter(ended_at=None)] == [stays]


# Ended sessions


def test_session_with_expired_refresh_token_is_not_listed() -> None:
    user, _ = register()
    assert open_sessions(user.pk).count() == 1
    with time_machine.travel(timedelta(days=14, minutes=1)):
        assert not open_sessions(user.pk).exists()


def test_session_is_listed_while_its_access_token_is_valid(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An unlisted session could be ended neither by its user nor by staff."""
    monkeypatch.setattr(AccessToken, "lifetime", timedelta(days=30))
    user, pair = register()
    with time_machine.travel(timedelta(days=20)):
        assert authenticate(pair.access).user_id == user.pk
        assert open_sessions(user.pk).count() == 1


def test_purge_deletes_only_ended_sessions(
    capsys: pytest.CaptureFixture[str],
) -> None:
    register()
    for days, ended in ((29, True), (31, True), (43, False), (45, False)):
        _, pair = register(f"user{days}")
        moment = timezone.now() - timedelta(days=days)
        session = Session.objects.filter(pk=authenticate(pair.access).session_id)
        session.update(rotated_at=moment, ended_at=moment if ended else None)
    call_command("purge_sessions")
    assert capsys.readouterr().out == "Deleted 2 sessions.\n"
    left = Session.objects.order_by("pk").values_list("user__username", flat=True)
    assert list(left) == ["ila", "user29", "user43"]


def test_recently_ended_sessions_are_not_purged() -> None:
    with pytest.raises(CommandError, match="older-than-days"):
        call_command("purge_sessions", "--older-than-days", "0")
