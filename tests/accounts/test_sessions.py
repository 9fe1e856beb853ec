"""Accounts and sign-ins: who gets tokens, how they are refreshed once, and what ends them."""

import functools
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

import pytest
import time_machine
from django.contrib.auth.hashers import MD5PasswordHasher
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone
from ninja_jwt.tokens import AccessToken
from pytest_django import Settings

from accounts import hashing, services, sessions
from accounts.auth import SignIn, network_of, sign_in
from accounts.errors import (
    EmailTaken,
    Forbidden,
    Invalid,
    InvalidCredentials,
    NoSuchSession,
    RateLimited,
    SessionEnded,
    TokenInvalid,
    UsernameTaken,
    WrongPassword,
)
from accounts.events import SessionsEnded
from accounts.models import Session, User
from accounts.rates import Rate, buckets
from accounts.selectors import open_sessions
from accounts.tokens import Pair, mint
from tests.factories import at_once, commits, heard, make_session, make_user

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("cheap_passwords", "unlimited")]

PASSWORD = "a sentence to remember"


def register(
    username: str | None = "ila", email: str | None = None, password: str = PASSWORD
) -> tuple[User, Pair]:
    return services.register(
        username=username,
        email=email,
        password=password,
        password2=None,
        address="192.0.2.1",
        user_agent="test",
    )


def log_in(name: str = "ila", password: str = PASSWORD) -> tuple[User, Pair]:
    return services.log_in(name=name, password=password, address="192.0.2.1", user_agent="test")


def log_out(caller: SignIn | None = None, refresh: str | None = None, **how: bool) -> None:
    sessions.log_out(
        user_id=caller.user_id if caller else None,
        session_id=caller.session_id if caller else None,
        refresh=refresh,
        everywhere=how.get("everywhere", False),
    )


def change_password(user: User, caller: SignIn, old: str, new: str) -> None:
    services.change_password(
        user=user,
        session_id=caller.session_id,
        old_password=old,
        new_password=new,
        address="192.0.2.1",
    )


def meanwhile(patch: pytest.MonkeyPatch, function: str, happens: Callable[[], object]) -> None:
    """While the next password is hashed or checked by `accounts.hashing`, this happens first."""
    slow = getattr(hashing, function)

    def interrupted(*args: object) -> object:
        patch.setattr(hashing, function, slow)
        done = slow(*args)
        happens()
        return done

    patch.setattr(hashing, function, interrupted)


def age_rotation(seconds: float) -> None:
    moment = timezone.now() - timedelta(seconds=seconds)
    for session in Session.objects.all():
        session.rotated_at = moment
        session.spent = [[*tokens, when - seconds] for *tokens, when in session.spent]
        session.save()


# Registering and logging in


def test_registering_signs_in() -> None:
    user, pair = register()
    caller = sign_in(pair.access)
    assert (caller.user_id, caller.username) == (user.pk, "ila")


def test_an_email_alone_makes_the_username() -> None:
    user, _ = register(username=None, email="ila.p@example.com")
    assert user.username == "ila.p"


def test_a_second_of_the_same_local_part_gets_another_username() -> None:
    register(username="Ila")
    user, _ = register(username=None, email="ila@example.com")
    assert user.username.startswith("ila-")


@pytest.mark.parametrize("name", ["ila", "ILA", "ｉｌａ"])
def test_a_username_is_taken_however_it_is_written(name: str) -> None:
    register(username="Ila")
    with pytest.raises(UsernameTaken):
        register(username=name)


def test_a_name_stays_taken_after_its_user_is_deactivated() -> None:
    user, _ = register()
    services.deactivate(user=user)
    with pytest.raises(UsernameTaken):
        register()


def test_an_email_is_taken_in_any_case() -> None:
    register(username="ila", email="ila@example.com")
    with pytest.raises(EmailTaken):
        register(username="other", email="ILA@Example.com")


@pytest.mark.parametrize(
    ("username", "email", "password"),
    [
        (None, None, PASSWORD),
        ("ila", "not an address", PASSWORD),
        ("ila", None, "short"),
        ("ila", None, "1234567890"),
        ("ila.from.the.hills", None, "ila.from.the.hills"),
    ],
)
def test_a_bad_registration_stores_nobody(
    username: str | None, email: str | None, password: str
) -> None:
    with pytest.raises(Invalid):
        register(username, email, password)
    assert not User.objects.exists()


@commits
def test_one_of_two_who_ask_for_a_name_at_once_gets_it() -> None:
    outcomes = at_once(*[register] * 2)
    assert {type(outcome) for outcome in outcomes} == {tuple, UsernameTaken}


@pytest.mark.parametrize("name", ["ila", "ILA", "ila@example.com", "Ila@EXAMPLE.com"])
def test_logging_in_takes_a_username_or_an_email_in_any_case(name: str) -> None:
    user, _ = register(email="ila@example.com")
    assert log_in(name)[0] == user


@pytest.mark.parametrize(
    "spelling", [" ila@example.com", "ILA@example.com\t\n", "\u00a0ila@example.com"]
)
def test_guesses_at_an_email_count_together_however_it_is_written(
    spelling: str, settings: Settings
) -> None:
    settings.CHAT_LOGIN_NAME_RATE = Rate(1, 60, 1)
    register(email="ila@example.com")
    buckets.clear()
    with pytest.raises(InvalidCredentials):
        log_in("ila@example.com", "wrong")
    with pytest.raises(RateLimited):
        log_in(spelling)


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff:ffff:ffff:ffff", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        (None, None, True),
        (None, "192.0.2.1", False),
    ],
)
def test_limits_per_address_count_an_ipv6_network_as_one(
    one: str | None, other: str | None, together: bool
) -> None:
    assert (network_of(one) == network_of(other)) == together


def test_neighbours_of_an_ipv6_network_share_its_limits(settings: Settings) -> None:
    settings.CHAT_REGISTER_RATE = settings.CHAT_LOGIN_RATE = Rate(2, 60, 2)
    buckets.clear()

    def come_from(host: int) -> tuple[User, Pair]:
        where = {"address": f"2001:db8::{host}", "user_agent": "test"}
        with suppress(RateLimited):
            services.register(
                username=f"guest{host}", email=None, password=PASSWORD, password2=None, **where
            )
        return services.log_in(name="guest1", password=PASSWORD, **where)

    for host in (1, 2):
        come_from(host)
    with pytest.raises(RateLimited):
        come_from(3)
    assert not User.objects.filter(username="guest3").exists()
    # Its row keeps the whole address, for its owner to recognise.
    assert {one.ip for one in Session.objects.all()} == {"2001:db8::1", "2001:db8::2"}


def test_what_one_address_uses_up_is_left_to_the_others(settings: Settings) -> None:
    settings.CHAT_REGISTER_RATE = settings.CHAT_LOGIN_RATE = Rate(1, 60, 1)
    settings.CHAT_LOGIN_NAME_RATE = Rate(1, 60, 1)
    buckets.clear()
    for number in (1, 2):
        where = {"address": f"192.0.2.{number}", "user_agent": "test"}
        account = functools.partial(
            services.register, email=None, password=PASSWORD, password2=None, **where
        )
        account(username=f"guest{number}")
        services.log_in(name="guest1", password=PASSWORD, **where)
        with pytest.raises(RateLimited):
            account(username="late")
        with pytest.raises(RateLimited):
            services.log_in(name="guest1", password=PASSWORD, **where)


@pytest.mark.parametrize(("name", "password"), [("ila", "wrong"), ("nobody", PASSWORD)])
def test_a_wrong_password_and_an_unknown_name_look_the_same(name: str, password: str) -> None:
    register()
    with pytest.raises(InvalidCredentials):
        log_in(name, password)


@pytest.mark.parametrize("name", ["ila", "gone", "nobody", "nobody@example.com", "no\x00body"])
def test_a_refused_login_costs_one_hash_whoever_is_named(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    register()
    gone, _ = register("gone")
    services.deactivate(user=gone)
    hashed: list[str] = []
    encode = MD5PasswordHasher.encode

    def counted(hasher: MD5PasswordHasher, password: str, salt: str) -> str:
        hashed.append(password)
        return encode(hasher, password, salt)

    monkeypatch.setattr(MD5PasswordHasher, "encode", counted)
    with pytest.raises(InvalidCredentials):
        log_in(name, PASSWORD if name == "gone" else "wrong")
    assert len(hashed) == 1


def test_the_deactivated_cannot_log_in() -> None:
    user, _ = register()
    services.deactivate(user=user)
    with pytest.raises(InvalidCredentials):
        log_in()


def test_guessing_is_limited_per_name(settings: Settings) -> None:
    buckets.clear()
    settings.CHAT_LOGIN_NAME_RATE = Rate(2, 60, 2)
    register()
    for _ in range(2):
        with pytest.raises(InvalidCredentials):
            log_in("ila", "wrong")
    with pytest.raises(RateLimited):
        log_in("ILA")


# Signing in by access token


def test_a_token_of_a_session_that_is_not_there_is_invalid() -> None:
    session = make_session()
    token = mint(session).access
    session.delete()
    with pytest.raises(TokenInvalid):
        sign_in(token)


def test_a_token_whose_session_is_another_users_is_invalid() -> None:
    session = make_session()
    session.user_id = make_user().pk
    with pytest.raises(TokenInvalid):
        sign_in(mint(session).access)


def test_the_deactivated_are_out_at_once() -> None:
    user, pair = register()
    services.deactivate(user=user)
    with pytest.raises(SessionEnded):
        sign_in(pair.access)


def test_last_used_at_is_written_once_a_minute() -> None:
    long_ago = timezone.now() - timedelta(minutes=2)
    session = make_session(last_used_at=long_ago)
    token = mint(session).access
    sign_in(token)
    session.refresh_from_db()
    touched = session.last_used_at
    assert touched > long_ago
    sign_in(token)
    session.refresh_from_db()
    assert session.last_used_at == touched


# Refreshing


def test_a_refresh_token_is_spent_for_a_new_pair() -> None:
    _, pair = register()
    successor = sessions.refresh_tokens(refresh=pair.refresh)
    assert successor.refresh != pair.refresh
    assert sign_in(successor.access).session_id == sign_in(pair.access).session_id


def test_a_spent_refresh_token_answers_the_same_successor_within_the_grace() -> None:
    _, pair = register()
    first = sessions.refresh_tokens(refresh=pair.refresh)
    assert sessions.refresh_tokens(refresh=pair.refresh) == first


def test_a_spent_refresh_token_is_answered_late_in_the_grace_too() -> None:
    _, pair = register()
    first = sessions.refresh_tokens(refresh=pair.refresh)
    age_rotation(28)
    again = sessions.refresh_tokens(refresh=pair.refresh)
    assert sign_in(again.access).session_id == sign_in(first.access).session_id


def test_a_refresh_repeated_at_a_host_whose_clock_is_ahead_gets_the_same_successor() -> None:
    _, pair = register()
    successor = sessions.refresh_tokens(refresh=pair.refresh)
    with time_machine.travel(timedelta(minutes=2)):
        assert sessions.refresh_tokens(refresh=pair.refresh) == successor


@commits
def test_a_spent_refresh_token_ends_the_session_after_the_grace() -> None:
    _, pair = register()
    successor = sessions.refresh_tokens(refresh=pair.refresh)
    age_rotation(31)
    with heard() as events, pytest.raises(SessionEnded):
        sessions.refresh_tokens(refresh=pair.refresh)
    assert [type(event) for event in events] == [SessionsEnded]
    with pytest.raises(SessionEnded):
        sign_in(successor.access)
    with pytest.raises(SessionEnded):
        sessions.refresh_tokens(refresh=successor.refresh)


def test_each_of_several_spent_refresh_tokens_answers_its_own_successor() -> None:
    _, first = register()
    second = sessions.refresh_tokens(refresh=first.refresh)
    third = sessions.refresh_tokens(refresh=second.refresh)
    assert sessions.refresh_tokens(refresh=first.refresh) == second
    assert sessions.refresh_tokens(refresh=second.refresh) == third
    assert sign_in(third.access).session_id == sign_in(second.access).session_id


@commits
def test_an_older_refresh_token_ends_the_session_after_the_grace() -> None:
    _, first = register()
    second = sessions.refresh_tokens(refresh=first.refresh)
    age_rotation(31)
    sessions.refresh_tokens(refresh=second.refresh)
    with pytest.raises(SessionEnded):
        sessions.refresh_tokens(refresh=first.refresh)
    assert Session.objects.get().ended_at is not None


def test_only_the_last_of_many_spent_refresh_tokens_are_remembered() -> None:
    _, pair = register()
    for _ in range(sessions.MOST_SPENT + 5):
        pair = sessions.refresh_tokens(refresh=pair.refresh)
    assert len(Session.objects.get().spent) == sessions.MOST_SPENT + 1


@commits
def test_all_who_refresh_at_the_same_instant_get_one_successor() -> None:
    _, pair = register()
    outcomes = at_once(*[lambda: sessions.refresh_tokens(refresh=pair.refresh)] * 6)
    assert all(isinstance(outcome, Pair) for outcome in outcomes), outcomes
    assert len(set(map(str, outcomes))) == 1


def test_the_deactivated_cannot_refresh() -> None:
    user, pair = register()
    User.objects.filter(pk=user.pk).update(is_active=False)
    with pytest.raises(SessionEnded):
        sessions.refresh_tokens(refresh=pair.refresh)


def test_an_access_token_refreshes_nothing() -> None:
    _, pair = register()
    with pytest.raises(TokenInvalid):
        sessions.refresh_tokens(refresh=pair.access)


# Ending


@commits
def test_logging_out_by_access_token_ends_this_session_only() -> None:
    user, pair = register()
    _, other = log_in()
    caller = sign_in(pair.access)
    with heard() as events:
        log_out(caller)
    assert events == [SessionsEnded(user.pk, frozenset({caller.session_id}))]
    with pytest.raises(SessionEnded):
        sign_in(pair.access)
    with pytest.raises(SessionEnded):
        sessions.refresh_tokens(refresh=pair.refresh)
    assert sign_in(other.access).user_id


def test_logging_out_by_refresh_token_alone_ends_its_session() -> None:
    _, pair = register()
    _, other = log_in()
    log_out(refresh=pair.refresh)
    with pytest.raises(SessionEnded):
        sign_in(pair.access)
    assert sign_in(other.access).user_id


def test_a_refresh_token_logs_out_beside_an_access_token_that_ran_out(client: Client) -> None:
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
def test_logging_out_everywhere_ends_all_sessions_in_one_event() -> None:
    user, pair = register()
    log_in()
    with heard() as events:
        log_out(refresh=pair.refresh, everywhere=True)
    ids = frozenset(Session.objects.values_list("pk", flat=True))
    assert events == [SessionsEnded(user.pk, ids)]


@commits
def test_logging_out_twice_is_refused() -> None:
    _, pair = register()
    log_out(refresh=pair.refresh)
    with heard() as events, pytest.raises(SessionEnded):
        log_out(refresh=pair.refresh)
    assert events == []


def test_the_token_of_an_ended_session_ends_no_others() -> None:
    _, pair = register()
    log_out(refresh=pair.refresh)
    _, other = log_in()
    with pytest.raises(SessionEnded):
        log_out(refresh=pair.refresh, everywhere=True)
    assert sign_in(other.access).user_id


def test_a_refresh_token_of_somebody_else_ends_nothing() -> None:
    _, pair = register()
    _, other = register("other")
    with pytest.raises(Forbidden):
        log_out(sign_in(pair.access), refresh=other.refresh)
    assert sign_in(other.access).user_id
    assert sign_in(pair.access).user_id


@commits
def test_a_session_is_ended_by_its_user_only_and_once() -> None:
    session = make_session()
    with pytest.raises(NoSuchSession):
        sessions.end_session(user_id=make_user().pk, session_id=session.pk)
    with heard() as events:
        sessions.end_session(user_id=session.user_id, session_id=session.pk)
    assert events == [SessionsEnded(session.user_id, frozenset({session.pk}))]
    with pytest.raises(NoSuchSession):
        sessions.end_session(user_id=session.user_id, session_id=session.pk)


@commits
def test_a_new_password_ends_the_other_sessions() -> None:
    user, pair = register()
    _, other = log_in()
    other_id = sign_in(other.access).session_id
    with heard() as events:
        change_password(user, sign_in(pair.access), PASSWORD, "another sentence")
    assert events == [SessionsEnded(user.pk, frozenset({other_id}))]
    assert sign_in(pair.access).user_id
    with pytest.raises(SessionEnded):
        sign_in(other.access)
    with pytest.raises(InvalidCredentials):
        log_in()
    assert log_in(password="another sentence")


@commits
def test_a_new_password_with_no_other_sessions_ends_nothing() -> None:
    user, pair = register()
    with heard() as events:
        change_password(user, sign_in(pair.access), PASSWORD, "another sentence")
    assert events == []


@commits
@pytest.mark.parametrize(
    ("old", "new", "error"), [("wrong", PASSWORD * 2, WrongPassword), (PASSWORD, "short", Invalid)]
)
def test_a_refused_change_of_password_changes_nothing(
    old: str, new: str, error: type[Exception]
) -> None:
    user, pair = register()
    _, other = log_in()
    with heard() as events, pytest.raises(error):
        change_password(user, sign_in(pair.access), old, new)
    assert events == []
    assert sign_in(other.access).user_id
    assert log_in()


def test_a_new_password_is_not_overridden_by_one_that_was_on_its_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    thief, pair = register()
    owner, own = log_in()

    def owner_is_first() -> None:
        change_password(owner, sign_in(own.access), PASSWORD, "the owner's sentence")

    stolen = sign_in(pair.access)
    meanwhile(monkeypatch, "hash_password", owner_is_first)
    with pytest.raises(SessionEnded):
        change_password(thief, stolen, PASSWORD, "the thief's sentence")
    assert log_in(password="the owner's sentence")
    assert sign_in(own.access).user_id


def test_of_two_new_passwords_by_one_session_the_first_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    user, pair = register()
    again, caller = User.objects.get(), sign_in(pair.access)
    meanwhile(
        monkeypatch,
        "hash_password",
        lambda: change_password(again, caller, PASSWORD, "the first sentence"),
    )
    with pytest.raises(WrongPassword):
        change_password(user, caller, PASSWORD, "the second sentence")
    assert log_in(password="the first sentence")


def test_a_session_that_ends_meanwhile_sets_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    user, pair = register()
    caller = sign_in(pair.access)
    meanwhile(monkeypatch, "hash_password", lambda: log_out(refresh=pair.refresh))
    with pytest.raises(SessionEnded):
        change_password(user, caller, PASSWORD, "another sentence")
    assert log_in()


def test_a_password_changed_meanwhile_is_not_overridden_by_a_renewed_hash(
    monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    monkeypatch.setattr(hashing.TunablePBKDF2PasswordHasher, "iterations", 1)
    user, pair = register()
    stale = User.objects.get()
    change_password(user, sign_in(pair.access), PASSWORD, "another sentence")
    renewed = "accounts.hashing.TunablePBKDF2PasswordHasher"
    settings.PASSWORD_HASHERS = [renewed, *settings.PASSWORD_HASHERS]
    assert stale.check_password(PASSWORD)
    assert log_in(password="another sentence")


def test_logging_in_renews_a_hash_of_an_older_kind(
    monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
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
    with heard() as events:
        services.deactivate(user=user)
    ids = frozenset(Session.objects.values_list("pk", flat=True))
    assert events == [SessionsEnded(user.pk, ids)]


@commits
def test_those_who_are_deactivated_at_a_stroke_lose_their_sessions_and_nobody_else() -> None:
    gone, also_gone, stays = (register(username=name)[0] for name in ("ila", "meera", "kaushal"))
    with heard() as events:
        User.objects.filter(pk=gone.pk).update(is_active=False)
        also_gone.is_active = False
        User.objects.bulk_update([also_gone], ["is_active"])
        User.objects.update(last_seen=timezone.now())
    assert events == [
        SessionsEnded(user.pk, frozenset({Session.objects.get(user=user).pk}))
        for user in (gone, also_gone)
    ]
    assert [row.user for row in Session.objects.filter(ended_at=None)] == [stays]


# The profile


def change_profile(user: User, **changes: str) -> User:
    return services.change_profile(
        user=user,
        session_id=Session.objects.filter(user=user).latest("pk").pk,
        display_name=changes.get("display_name"),
        email=changes.get("email"),
        password=changes.get("password"),
        address="192.0.2.1",
    )


def test_a_new_email_needs_the_password() -> None:
    user, _ = register()
    with pytest.raises(Invalid):
        change_profile(user, email="new@example.com")
    with pytest.raises(WrongPassword):
        change_profile(user, email="new@example.com", password="wrong")
    change_profile(user, email="new@example.com", password=PASSWORD)
    assert log_in("new@example.com")


def test_whose_password_changed_meanwhile_sets_no_email(monkeypatch: pytest.MonkeyPatch) -> None:
    thief, _ = register(email="ila@example.com")
    owner, own = User.objects.get(), sign_in(log_in()[1].access)

    def owner_is_first() -> None:
        change_password(owner, own, PASSWORD, "the owner's sentence")

    meanwhile(monkeypatch, "matches", owner_is_first)
    with pytest.raises(WrongPassword):
        change_profile(thief, email="thief@example.com", password=PASSWORD)
    assert log_in("ila@example.com", "the owner's sentence")


def test_an_email_of_somebody_else_is_refused() -> None:
    register("other", email="ila@example.com")
    user, _ = register()
    with pytest.raises(EmailTaken):
        change_profile(user, email="ILA@example.com", password=PASSWORD)


def test_a_display_name_alone_needs_no_password() -> None:
    user, _ = register(email="ila@example.com")
    change_profile(user, display_name="Ila P.")
    user.refresh_from_db()
    assert (user.display_name, user.email) == ("Ila P.", "ila@example.com")


# Sessions that are over


def test_a_session_whose_refresh_token_ran_out_is_listed_no_more() -> None:
    user, _ = register()
    assert open_sessions(user.pk).count() == 1
    with time_machine.travel(timedelta(days=14, minutes=1)):
        assert not open_sessions(user.pk).exists()


def test_a_session_whose_access_token_lives_longer_is_listed_as_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else nobody could end it: neither its owner, nor staff who set a new password."""
    monkeypatch.setattr(AccessToken, "lifetime", timedelta(days=30))
    user, pair = register()
    with time_machine.travel(timedelta(days=20)):
        assert sign_in(pair.access).user_id == user.pk
        assert open_sessions(user.pk).count() == 1


def test_purging_forgets_the_sessions_that_are_over_and_no_others(
    capsys: pytest.CaptureFixture[str],
) -> None:
    register()
    for days, ended in ((29, True), (31, True), (43, False), (45, False)):
        _, pair = register(f"user{days}")
        moment = timezone.now() - timedelta(days=days)
        session = Session.objects.filter(pk=sign_in(pair.access).session_id)
        session.update(rotated_at=moment, ended_at=moment if ended else None)
    call_command("purge_sessions")
    assert capsys.readouterr().out == "Deleted 2 sessions.\n"
    left = Session.objects.order_by("pk").values_list("user__username", flat=True)
    assert list(left) == ["ila", "user29", "user43"]


def test_sessions_that_ended_just_now_are_never_purged() -> None:
    with pytest.raises(CommandError, match="older-than-days"):
        call_command("purge_sessions", "--older-than-days", "0")
