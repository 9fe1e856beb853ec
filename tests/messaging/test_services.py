"""Sending: a claimed username must be the sender's own."""

import pytest

from accounts.auth import Caller
from messaging import services
from messaging.errors import SenderMismatch

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("unlimited")]


def test_username_must_be_the_senders_own(ila: Caller) -> None:
    services.check_sender(ila, None)
    services.check_sender(ila, "ILA")
    with pytest.raises(SenderMismatch):
        services.check_sender(ila, "friend")
