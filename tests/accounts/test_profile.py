"""Users change their own e-mail and display name."""

import pytest

from accounts import services
from accounts.auth import authenticate
from accounts.kernel.errors import EmailTaken, Invalid, WrongPassword
from accounts.models import Session, User

from .service_calls import PASSWORD, change_password, log_in, meanwhile, register

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("cheap_passwords", "unlimited")]


def change_profile(user: User, **changes: str) -> User:
    return services.change_profile(
        user=user,
        session_id=Session.objects.filter(user=user).latest("pk").pk,
        display_name=changes.get("display_name"),
        email=changes.get("email"),
        password=changes.get("password"),
        address="192.0.2.1",
    )


def test_email_change_requires_the_password() -> None:
    user, _ = register()
    with pytest.raises(Invalid):
        change_profile(user, email="new@example.com")
    with pytest.raises(WrongPassword):
        change_profile(user, email="new@example.com", password="wrong")
    change_profile(user, email="new@example.com", password=PASSWORD)
    assert log_in("new@example.com")


def test_email_change_fails_after_a_concurrent_password_change(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    thief, _ = register(email="ila@example.com")
    owner, own = User.objects.get(), authenticate(log_in()[1].access)

    def owner_is_first() -> None:
        change_password(owner, own, PASSWORD, "the owner's sentence")

    meanwhile(monkeypatch, "matches", owner_is_first)
    with pytest.raises(WrongPassword):
        change_profile(thief, email="thief@example.com", password=PASSWORD)
    assert log_in("ila@example.com", "the owner's sentence")


def test_email_of_another_user_is_rejected() -> None:
    register("other", email="ila@example.com")
    user, _ = register()
    with pytest.raises(EmailTaken):
        change_profile(user, email="ILA@example.com", password=PASSWORD)


def test_display_name_change_requires_no_password() -> None:
    user, _ = register(email="ila@example.com")
    change_profile(user, display_name="Ila P.")
    user.refresh_from_db()
    assert (user.display_name, user.email) == ("Ila P.", "ila@example.com")
