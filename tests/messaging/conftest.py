"""Shared by the tests of messages."""

import pytest

from accounts.auth import SignIn
from tests.factories import make_sign_in, make_user


@pytest.fixture
def ila() -> SignIn:
    return make_sign_in(make_user("ila"))
