"""Access tokens authenticate, and refresh tokens refresh once."""

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from accounts import refreshing, services
from accounts.auth import authenticate
from accounts.events import SessionsEnded
from accounts.kernel.errors import SessionEnded, TokenInvalid
from accounts.models import Session, User
from accounts.tokens import TokenPair, mint
from tests.factories import collect_events, commits, make_session, make_user, run_concurrently

from .service_calls import age_rotation, register

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("cheap_passwords", "unlimited")]

# Access tokens


def test_token_of_a_missing_session_is_invalid() -> None:
    session = make_session()
    token = mint(session).access
    session.delete()
    with pytest.raises(TokenInvalid):
        authenticate(token)


def test_token_with_another_users_session_is_invalid() -> None:
    session = make_session()
    session.user_id = make_user().pk
    with pytest.raises(TokenInvalid):
        authenticate(mint(session).access)


def test_deactivated_user_loses_access_at_once() -> None:
    user, pair = register()
    services.deactivate(user=user)
    with pytest.raises(SessionEnded):
        authenticate(pair.access)


def test_last_used_at_is_written_once_a_minute() -> None:
    long_ago = timezone.now() - timedelta(minutes=2)
    session = make_session(last_used_at=long_ago)
    token = mint(session).access
    authenticate(token)
    session.refresh_from_db()
    touched = session.last_used_at
    assert touched > long_ago
    authenticate(token)
    session.refresh_from_db()
    assert session.last_used_at == touched


# Refreshing


def test_refresh_consumes_the_token_and_returns_a_new_pair() -> None:
    _, pair = register()
    successor = refreshing.refresh_tokens(refresh=pair.refresh)
    assert successor.refresh != pair.refresh
    assert authenticate(successor.access).session_id == authenticate(pair.access).session_id


def test_used_refresh_token_returns_the_same_successor_within_the_grace() -> None:
    _, pair = register()
    first = refreshing.refresh_tokens(refresh=pair.refresh)
    assert refreshing.refresh_tokens(refresh=pair.refresh) == first


def test_used_refresh_token_works_until_the_end_of_the_grace() -> None:
    _, pair = register()
    first = refreshing.refresh_tokens(refresh=pair.refresh)
    age_rotation(28)
    again = refreshing.refresh_tokens(refresh=pair.refresh)
    assert authenticate(again.access).session_id == authenticate(first.access).session_id


def test_repeated_refresh_at_a_host_with_a_fast_clock_gets_the_same_successor() -> None:
    _, pair = register()
    successor = refreshing.refresh_tokens(refresh=pair.refresh)
    with time_machine.travel(timedelta(minutes=2)):
        assert refreshing.refresh_tokens(refresh=pair.refresh) == successor


@commits
def test_used_refresh_token_ends_the_session_after_the_grace() -> None:
    _, pair = register()
    successor = refreshing.refresh_tokens(refresh=pair.refresh)
    age_rotation(31)
    with collect_events() as events, pytest.raises(SessionEnded):
        refreshing.refresh_tokens(refresh=pair.refresh)
    assert [type(event) for event in events] == [SessionsEnded]
    with pytest.raises(SessionEnded):
        authenticate(successor.access)
    with pytest.raises(SessionEnded):
        refreshing.refresh_tokens(refresh=successor.refresh)


def test_each_used_refresh_token_returns_its_own_successor() -> None:
    _, first = register()
    second = refreshing.refresh_tokens(refresh=first.refresh)
    third = refreshing.refresh_tokens(refresh=second.refresh)
    assert refreshing.refresh_tokens(refresh=first.refresh) == second
    assert refreshing.refresh_tokens(refresh=second.refresh) == third
    assert authenticate(third.access).session_id == authenticate(second.access).session_id


@commits
def test_older_refresh_token_ends_the_session_after_the_grace() -> None:
    _, first = register()
    second = refreshing.refresh_tokens(refresh=first.refresh)
    age_rotation(31)
    refreshing.refresh_tokens(refresh=second.refresh)
    with pytest.raises(SessionEnded):
        refreshing.refresh_tokens(refresh=first.refresh)
    assert Session.objects.get().ended_at is not None


def test_only_the_latest_used_refresh_tokens_are_remembered() -> None:
    _, pair = register()
    for _ in range(refreshing.MAX_REPLACED_TOKENS + 5):
        pair = refreshing.refresh_tokens(refresh=pair.refresh)
    assert len(Session.objects.get().replaced) == refreshing.MAX_REPLACED_TOKENS + 1


@commits
def test_concurrent_refreshes_get_one_successor() -> None:
    _, pair = register()
    outcomes = run_concurrently(*[lambda: refreshing.refresh_tokens(refresh=pair.refresh)] * 6)
    assert all(isinstance(outcome, TokenPair) for outcome in outcomes), outcomes
    assert len(set(map(str, outcomes))) == 1


def test_deactivated_user_cannot_refresh() -> None:
    user, pair = register()
    User.objects.filter(pk=user.pk).update(is_active=False)
    with pytest.raises(SessionEnded):
        refreshing.refresh_tokens(refresh=pair.refresh)


def test_access_token_cannot_refresh() -> None:
    _, pair = register()
    with pytest.raises(TokenInvalid):
        refreshing.refresh_tokens(refresh=pair.access)
