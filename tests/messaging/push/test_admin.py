"""Admin pages of push subscriptions and followers."""

from accounts.auth import Caller
from messaging.follower.lease import Lease
from messaging.models import PushSubscription
from tests.admin_client import chosen, notices, staff
from tests.factories import commits
from tests.push_service import Device, PushService

from .conftest import subscribe

pytestmark = commits

PAGE = "/admin/messaging/pushsubscription/"


def test_list_names_the_push_service_but_not_the_secret_path(
    push_service: PushService, kaushal: Caller
) -> None:
    device = push_service.device()
    stored = subscribe(device, kaushal)
    browser = staff("view_pushsubscription")
    for page in (PAGE, f"{PAGE}?q=kaus", f"{PAGE}{stored.pk}/change/"):
        text = browser.get(page).content.decode()
        assert "127.0.0.1" in text
        assert "kaushal" in text
        assert device.path not in text
        assert stored.auth not in text
    assert staff("view_message").get(PAGE).status_code == 403


def test_staff_delete_a_subscription_with_the_permission(device: Device) -> None:
    stored = PushSubscription.objects.get()
    form = chosen("delete_subscriptions", stored)
    staff("view_pushsubscription").post(PAGE, form)
    assert PushSubscription.objects.exists()
    answer = staff("view_pushsubscription", "delete_pushsubscription").post(PAGE, form)
    assert notices(answer) == ["1 push subscription deleted"]
    assert not PushSubscription.objects.exists()


def test_followers_are_shown() -> None:
    lease = Lease("push")
    lease.hold()
    page = staff("view_follower").get("/admin/messaging/follower/")
    assert lease._holder in page.content.decode()
