"""Which sessions and cookies a password change ends, and that a rehash ends none."""

from collections.abc import Callable
from io import StringIO

import pytest
from django.contrib.auth.hashers import make_password
from django.core.management import call_command
from django.test import Client
from pytest_django import Settings

from accounts import hashing
from accounts.auth import authenticate
from accounts.events import SessionsEnded
from accounts.models import Session, User
from tests.factories import collect_events, make_session, make_user, run_concurrently

from .service_calls import PASSWORD, change_password, log_in, log_out, meanwhile, register

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("cheap_passwords", "unlimited"),
]

NEW_PASSWORD = "quite another sentence"
NEW_TWICE = {"new_password1": NEW_PASSWORD, "new_password2": NEW_PASSWORD}


@pytest.fixture
def boss() -> User:
    return make_user("boss", password=PASSWORD, is_staff=True, is_superuser=True)


def in_admin(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def is_in(client: Client) -> bool:
    return client.get("/admin/").status_code == 200


# Ways to set a password


def by_own_page(user: User) -> None:
    answer = in_admin(user).post("/admin/password_change/", {"old_password": PASSWORD} | NEW_TWICE)
    assert answer.status_code == 302


def by_staff(user: User) -> None:
    form = {"password1": NEW_PASSWORD, "password2": NEW_PASSWORD}
    root = in_admin(make_user(is_staff=True, is_superuser=True))
    assert root.post(f"/admin/accounts/user/{user.pk}/password/", form).status_code == 302


def by_staff_to_none(user: User) -> None:
    form = {"usable_password": "false", "unset-password": "1"}
    root = in_admin(make_user(is_staff=True, is_superuser=True))
    assert root.post(f"/admin/accounts/user/{user.pk}/password/", form).status_code == 302


def by_command(user: User) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("getpass.getpass", lambda **_: NEW_PASSWORD)
        call_command("changepassword", user.username, stdout=StringIO())


def by_model(user: User) -> None:
    user.set_password(NEW_PASSWORD)
    user.save()


def by_field(user: User) -> None:
    user.password = make_password(NEW_PASSWORD)
    user.save(update_fields=["password"])


def by_queryset(user: User) -> None:
    User.objects.filter(pk=user.pk).update(password=make_password(NEW_PASSWORD))


WAYS = [by_own_page, by_staff, by_staff_to_none, by_command, by_model, by_field, by_queryset]


@pytest.mark.parametrize("way", WAYS)
def test_password_change_ends_all_sessions_and_cookies(
    boss: User, way: Callable[[User], None]
) -> None:
    session, cookie = make_session(boss), in_admin(boss)
    stranger = make_session()
    with collect_events() as events:
        way(User.objects.get(pk=boss.pk))
    assert events == [SessionsEnded(boss.pk, frozenset({session.pk}))]
    session.refresh_from_db()
    assert session.ended_at is not None
    assert not is_in(cookie)
    stranger.refresh_from_db()
    assert stranger.ended_at is None


def test_admin_password_change_keeps_its_own_cookie(boss: User) -> None:
    cookie = in_admin(boss)
    cookie.post("/admin/password_change/", {"old_password": PASSWORD} | NEW_TWICE)
    assert is_in(cookie)


def test_api_password_change_keeps_its_session_and_ends_cookies(boss: User) -> None:
    cookie, (user, pair) = in_admin(boss), log_in("boss")
    _, other = log_in("boss")
    other_id = authenticate(other.access).session_id
    with collect_events() as events:
        change_password(user, authenticate(pair.access), PASSWORD, NEW_PASSWORD)
    assert events == [SessionsEnded(boss.pk, frozenset({other_id}))]
    assert authenticate(pair.access).user_id == boss.pk
    assert not is_in(cookie)


def test_logout_everywhere_ends_cookies(boss: User) -> None:
    cookie, (_, pair) = in_admin(boss), log_in("boss")
    log_out(refresh=pair.refresh)
    assert is_in(cookie), "one session is not everywhere"
    _, pair = log_in("boss")
    log_out(refresh=pair.refresh, everywhere=True)
    assert not is_in(cookie)


def test_saving_a_stale_row_restores_no_credentials(boss: User) -> None:
    """For example: staff edit a profile while its user changes the password."""
    stale, cookie, (_, pair) = User.objects.get(), in_admin(boss), log_in("boss")
    by_model(User.objects.get())
    _, again = log_in("boss", NEW_PASSWORD)
    stale.display_name = "Boss"
    with collect_events() as events:
        stale.save()
    assert events == []
    assert log_in("boss", NEW_PASSWORD)
    assert authenticate(again.access).user_id
    assert not is_in(cookie)
    assert User.objects.get().display_name == "Boss"
    assert Session.objects.exclude(ended_at=None).count() == 1, pair


def test_other_changes_end_no_session(boss: User) -> None:
    cookie, session = in_admin(boss), make_session(boss)
    with collect_events() as events:
        user = User.objects.defer("password").get()
        user.display_name = "Boss"
        user.save()
        user.refresh_from_db()
        user.save()
        User.objects.filter(pk=boss.pk).update(display_name="The boss")
    assert events == []
    session.refresh_from_db()
    assert session.ended_at is None
    assert is_in(cookie)


# Rehashing


@pytest.fixture
def due(settings: Settings, monkeypatch: pytest.MonkeyPatch, boss: User) -> User:
    """A user whose hash has fewer iterations than the setting."""
    settings.PASSWORD_HASHERS = ["accounts.hashing.TunablePBKDF2PasswordHasher"]
    monkeypatch.setattr(hashing.TunablePBKDF2PasswordHasher, "iterations", 1)
    boss.set_password(PASSWORD)
    boss.save()
    monkeypatch.setattr(hashing.TunablePBKDF2PasswordHasher, "iterations", 2)
    return boss


def test_rehash_keeps_sessions_and_cookies(due: User) -> None:
    cookie, session = in_admin(due), make_session(due)
    with collect_events() as events:
        log_in("boss")
    assert User.objects.get().password.startswith("pbkdf2_sha256$2$")
    assert events == []
    session.refresh_from_db()
    assert session.ended_at is None
    assert is_in(cookie)


def test_concurrent_logins_succeed_while_a_rehash_is_due(due: User) -> None:
    outcomes = run_concurrently(*[lambda: log_in("boss")] * 4)
    assert [type(outcome) for outcome in outcomes] == [tuple] * 4, outcomes
    assert log_in("boss")


def test_concurrent_admin_logins_succeed_while_a_rehash_is_due(due: User) -> None:
    def come() -> bool:
        client = Client()
        client.post("/admin/login/", {"username": "boss", "password": PASSWORD})
        return is_in(client)

    assert run_concurrently(*[come] * 4) == [True] * 4


def test_password_change_succeeds_during_a_rehash(due: User) -> None:
    _, pair = register("ila")
    user = User.objects.get(username="ila")
    caller = authenticate(pair.access)
    # As a concurrent login stores it.
    User.objects.store_rehash(user.pk, user.password, make_password(PASSWORD))
    change_password(user, caller, PASSWORD, NEW_PASSWORD)
    assert log_in("ila", NEW_PASSWORD)


def test_login_survives_concurrent_logout_everywhere(
    boss: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, pair = log_in("boss")
    meanwhile(monkeypatch, "matches", lambda: log_out(refresh=pair.refresh, everywhere=True))
    _, late = log_in("boss")
    assert authenticate(late.access).user_id == boss.pk
