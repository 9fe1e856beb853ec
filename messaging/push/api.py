"""Serves push subscriptions over HTTP (contract §8)."""

from typing import Annotated

from django.http import HttpResponse
from ninja import Path, Router, Status

from accounts.auth import Bearer, Request
from accounts.kernel.errors import Refusals
from accounts.kernel.fields import PathId, answers
from accounts.kernel.pagination import Cursor, Limit, keyset_page, write_links

from . import services
from .errors import EndpointInUse, NoSuchSubscription, PushOff, TooManySubscriptions
from .models import PushSubscription
from .schemas import PushKeyOut, SubscriptionIn, SubscriptionOut
from .selectors import subscriptions_of

router = Router(tags=["Push"], auth=Bearer())

SubscriptionId = Annotated[
    PathId, Path(example=1, description="`id` of one of your push subscriptions")
]


@router.get("/push/key", response=answers({200: PushKeyOut}, 401, 404))
def read_push_key(request: Request) -> dict[str, str]:
    """Read the key for subscribing.

    Pass it to the browser's `pushManager.subscribe` as `applicationServerKey`.
    """
    return {"public_key": services.public_key()}


@router.post(
    "/push/subscriptions",
    response=answers({201: SubscriptionOut, 200: SubscriptionOut}, 400, 401, 404, 409, 422, 429),
)
def add_subscription(request: Request, body: SubscriptionIn) -> Status[PushSubscription]:
    """Add a push subscription.

    Send the JSON of the browser's `PushSubscription.toJSON()`. It belongs to your session and ends
    with it. For a known endpoint the answer is 200, and the subscription belongs to this session
    from now on.
    """
    stored, is_new = services.subscribe(
        caller=request.auth,
        endpoint=body.endpoint,
        p256dh=body.keys.p256dh,
        auth=body.keys.auth,
    )
    return Status(201 if is_new else 200, stored)


@router.get("/push/subscriptions", response=answers({200: list[SubscriptionOut]}, 401, 422))
def list_subscriptions(
    request: Request, response: HttpResponse, cursor: Cursor = None, limit: Limit = 50
) -> list[PushSubscription]:
    """List your push subscriptions, newest first.

    Those of all your sessions.
    """
    there = subscriptions_of(request.auth.user_id)
    page = keyset_page(there, ["-id"], cursor=cursor, limit=limit)
    write_links(request, response, page.links)
    return page


@router.delete(
    "/push/subscriptions/{subscription_id}", response=answers({204: None}, 401, 404, 422)
)
def delete_subscription(request: Request, subscription_id: SubscriptionId) -> Status[None]:
    """Delete a push subscription.

    Nothing is pushed to it from then on.
    """
    services.unsubscribe(user_id=request.auth.user_id, subscription_id=subscription_id)
    return Status(204, None)


REFUSALS: Refusals = {
    read_push_key: [PushOff()],
    add_subscription: [PushOff(), EndpointInUse(), TooManySubscriptions()],
    delete_subscription: [NoSuchSubscription()],
}
