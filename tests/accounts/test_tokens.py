"""Tokens: what is read from a token, and which tokens are invalid."""

from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from django.conf import settings

from accounts.auth import bearer_token
from accounts.kernel.errors import TokenExpired, TokenInvalid
from accounts.kernel.fields import MAX_ID
from accounts.models import Session
from accounts.tokens import MAX_TOKEN_LENGTH, mint, read_access, read_refresh

KEY = settings.SECRET_KEY


def session(age: timedelta = timedelta()) -> Session:
    """An unsaved session: a token pair depends on the row's values alone."""
    return Session(pk=7, user_id=3, refresh_jti="a" * 32, rotated_at=datetime.now(UTC) - age)


def forged(key: str = KEY, algorithm: str = "HS256", **claims: Any) -> str:
    """Returns an access token with other claims; None leaves a claim out."""
    good = {
        "token_type": "access",
        "exp": int(datetime.now(UTC).timestamp()) + 60,
        "jti": "b" * 32,
        "user_id": 3,
        "sid": 7,
    }
    payload = {name: value for name, value in (good | claims).items() if value is not None}
    return jwt.encode(payload, key, algorithm=algorithm)


def test_token_names_its_user_and_session() -> None:
    pair = mint(session())
    access, refresh = read_access(pair.access), read_refresh(pair.refresh)
    assert (access.user_id, access.session_id) == (refresh.user_id, refresh.session_id) == (3, 7)
    assert refresh.jti == "a" * 32


def test_token_pair_is_a_pure_function_of_its_session() -> None:
    row = session()
    assert mint(row) == mint(row)


def test_rotation_makes_a_new_token_pair() -> None:
    row = session()
    before = mint(row)
    row.refresh_jti = "c" * 32
    assert mint(row).access != before.access
    assert mint(row).refresh != before.refresh


def test_token_of_a_host_with_a_fast_clock_is_valid_at_once() -> None:
    pair = mint(session(age=-timedelta(minutes=2)))
    assert read_access(pair.access).session_id == read_refresh(pair.refresh).session_id == 7


def test_access_token_expires_after_an_hour_before_its_refresh_token() -> None:
    pair = mint(session(age=timedelta(minutes=61)))
    with pytest.raises(TokenExpired):
        read_access(pair.access)
    assert read_refresh(pair.refresh).session_id == 7


def test_refresh_token_expires_after_two_weeks() -> None:
    with pytest.raises(TokenExpired):
        read_refresh(mint(session(age=timedelta(days=14, seconds=1))).refresh)


def test_access_and_refresh_tokens_are_not_interchangeable() -> None:
    pair = mint(session())
    with pytest.raises(TokenInvalid):
        read_access(pair.refresh)
    with pytest.raises(TokenInvalid):
        read_refresh(pair.access)


def test_token_signed_with_our_key_is_read() -> None:
    assert read_access(forged()).session_id == 7


@pytest.mark.parametrize(
    "token",
    [
        "",
        "x",
        "a.b.c",
        "eyJ.eyJ.",
        "é",
        "\ud800",
        "a" * (MAX_TOKEN_LENGTH + 1),
        forged(key="k" * 64),
        forged(key=KEY * 2, algorithm="HS512"),
        forged(key="", algorithm="none"),
    ],
)
def test_token_signed_by_another_key_is_invalid(token: str) -> None:
    with pytest.raises(TokenInvalid):
        read_access(token)


@pytest.mark.parametrize("claim", ["user_id", "sid"])
@pytest.mark.parametrize("value", [None, "3", 3.0, True, 0, -1, MAX_ID + 1, [3]])
def test_token_with_an_invalid_id_is_invalid(claim: str, value: Any) -> None:
    claims: dict[str, Any] = {claim: value}
    with pytest.raises(TokenInvalid):
        read_access(forged(**claims))


@pytest.mark.parametrize("claims", [{"exp": None}, {"jti": None}, {"jti": 5}, {"token_type": None}])
def test_token_without_its_claims_is_invalid(claims: dict[str, Any]) -> None:
    with pytest.raises(TokenInvalid):
        read_access(forged(**claims))


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("Bearer abc", "abc"),
        ("bearer abc", "abc"),
        ("  BEARER   abc  ", "abc"),
        ("Bearer", ""),
        ("Basic abc", None),
        ("abc", None),
        ("", None),
    ],
)
def test_token_is_read_from_the_authorization_header(header: str, token: str | None) -> None:
    assert bearer_token(header) == token
