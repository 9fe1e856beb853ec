"""Registration and login: who gets tokens, and which errors others get."""

import functools
from contextlib import suppress

import pytest
from django.contrib.auth.hashers import MD5PasswordHasher
from pytest_django import Settings

from accounts import login, services
from accounts.auth import authenticate, network_of
from accounts.kernel.errors import (
    EmailTaken,
    Invalid,
    InvalidCredentials,
    RateLimited,
    UsernameTaken,
)
from accounts.kernel.rate_limits import Rate, buckets
from accounts.models import Session, User
from accounts.tokens import TokenPair
from tests.factories import commits, run_concurrently

from .service_calls import PASSWORD, log_in, register

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("cheap_passwords", "unlimited")]


def test_registration_returns_tokens() -> None:
    user, pair = register()
    caller = authenticate(pair.access)
    assert (caller.user_id, caller.username) == (user.pk, "ila")


def test_username_is_derived_from_email() -> None:
    user, _ = register(username=None, email="ila.p@example.com")
    assert user.username == "ila.p"


def test_second_email_with_the_same_local_part_gets_another_username() -> None:
    register(username="Ila")
    user, _ = register(username=None, email="ila@example.com")
    assert user.username.startswith("ila-")


def test_user_with_a_name_older_than_the_rules_can_log_in() -> None:
    user, _ = register()
    User.objects.filter(pk=user.pk).update(username="раypal", username_key="раypal")
    assert log_in("РАYPAL")[0].pk == user.pk


@pytest.mark.parametrize("name", ["ila", "ILA", "ｉｌａ"])
def test_username_is_unique_across_spellings(name: str) -> None:
    register(username="Ila")
    with pytest.raises(UsernameTaken):
        register(username=name)


def test_username_stays_taken_after_deactivation() -> None:
    user, _ = register()
    services.deactivate(user=user)
    with pytest.raises(UsernameTaken):
        register()


def test_email_is_unique_ignoring_case() -> None:
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
def test_rejected_registration_stores_no_user(
    username: str | None, email: str | None, password: str
) -> None:
    with pytest.raises(Invalid):
        register(username, email, password)
    assert not User.objects.exists()


@commits
def test_concurrent_registrations_of_a_name_have_one_winner() -> None:
    outcomes = run_concurrently(*[register] * 2)
    assert {type(outcome) for outcome in outcomes} == {tuple, UsernameTaken}


@pytest.mark.parametrize("name", ["ila", "ILA", "ila@example.com", "Ila@EXAMPLE.com"])
def test_login_accepts_username_or_email_in_any_case(name: str) -> None:
    user, _ = register(email="ila@example.com")
    assert log_in(name)[0] == user


@pytest.mark.parametrize(
    "spelling", [" ila@example.com", "ILA@example.com\t\n", "\u00a0ila@example.com"]
)
def test_guesses_at_an_email_share_a_limit_across_spellings(
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
def test_address_limits_treat_an_ipv6_network_as_one(
    one: str | None, other: str | None, together: bool
) -> None:
    assert (network_of(one) == network_of(other)) == together


def test_addresses_in_an_ipv6_network_share_its_limits(settings: Settings) -> None:
    settings.CHAT_REGISTER_RATE = settings.CHAT_LOGIN_RATE = Rate(2, 60, 2)
    buckets.clear()

    def come_from(host: int) -> tuple[User, TokenPair]:
        where = {"address": f"2001:db8::{host}", "user_agent": "test"}
        with suppress(RateLimited):
            services.register(
                username=f"guest{host}", email=None, password=PASSWORD, password2=None, **where
            )
        return login.log_in(name="guest1", password=PASSWORD, **where)

    for host in (1, 2):
        come_from(host)
    with pytest.raises(RateLimited):
        come_from(3)
    assert not User.objects.filter(username="guest3").exists()
    # The row keeps the whole address, so that the owner recognises it.
    assert {one.ip for one in Session.objects.all()} == {"2001:db8::1", "2001:db8::2"}


def test_exhausted_limit_of_one_address_does_not_affect_others(settings: Settings) -> None:
    settings.CHAT_REGISTER_RATE = settings.CHAT_LOGIN_RATE = Rate(1, 60, 1)
    settings.CHAT_LOGIN_NAME_RATE = Rate(1, 60, 1)
    buckets.clear()
    for number in (1, 2):
        where = {"address": f"192.0.2.{number}", "user_agent": "test"}
        account = functools.partial(
            services.register, email=None, password=PASSWORD, password2=None, **where
        )
        account(username=f"guest{number}")
        login.log_in(name="guest1", password=PASSWORD, **where)
        with pytest.raises(RateLimited):
            account(username="late")
        with pytest.raises(RateLimited):
            login.log_in(name="guest1", password=PASSWORD, **where)


@pytest.mark.parametrize(("name", "password"), [("ila", "wrong"), ("unknown", PASSWORD)])
def test_wrong_password_and_unknown_user_get_the_same_answer(name: str, password: str) -> None:
    register()
    with pytest.raises(InvalidCredentials):
        log_in(name, password)


@pytest.mark.parametrize("name", ["ila", "gone", "unknown", "unknown@example.com", "un\x00known"])
def test_rejected_login_costs_one_hash_for_any_username(
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


def test_deactivated_user_cannot_log_in() -> None:
    user, _ = register()
    services.deactivate(user=user)
    with pytest.raises(InvalidCredentials):
        log_in()


def test_password_guesses_are_limited_per_username(settings: Settings) -> None:
    buckets.clear()
    settings.CHAT_LOGIN_NAME_RATE = Rate(2, 60, 2)
    register()
    for _ in range(2):
        with pytest.raises(InvalidCredentials):
            log_in("ila", "wrong")
    with pytest.raises(RateLimited):
        log_in("ILA")
