"""A user has a bounded number of subscriptions."""

import pytest
from pytest_django import Settings

from accounts import sessions
from accounts.auth import Caller
from accounts.models import User
from messaging.models import PushSubscription
from messaging.push.errors import TooManySubscriptions
from tests.factories import commits, make_session
from tests.push_service import Device, PushService

from .conftest import subscribe, subscribed

pytestmark = commits


@pytest.fixture(autouse=True)
def one_each(settings: Settings) -> None:
    settings.CHAT_SUBSCRIPTIONS_PER_USER = 1


def test_endpoint_of_another_user_counts(
    push_service: PushService, ila: Caller, kaushal: Caller
) -> None:
    subscribed(push_service.device(), ila)
    moving = subscribed(push_service.device(), kaushal)
    with pytest.raises(TooManySubscriptions):
        subscribe(moving, ila)
    assert PushSubscription.objects.filter(user_id=kaushal.user_id).count() == 1


def test_own_endpoint_counts_once(device: Device, kaushal: Caller) -> None:
    assert subscribe(device, kaushal).user_id == kaushal.user_id


def test_endpoint_of_an_ended_session_counts_when_it_is_used_again(
    push_service: PushService, device: Device, kaushal: Caller
) -> None:
    sessions.end_session(user_id=kaushal.user_id, session_id=kaushal.session_id)
    session = make_session(User.objects.get(pk=kaushal.user_id))
    again = Caller(kaushal.user_id, "kaushal", session.pk, kaushal.expires_at)
    subscribed(push_service.device(), again)
    with pytest.raises(TooManySubscriptions):
        subscribe(device, again)
