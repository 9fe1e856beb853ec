"""Stores and deletes push subscriptions."""

from cryptography.hazmat.primitives.asymmetric import ec
from django.conf import settings
from django.db import IntegrityError

from accounts.auth import Caller
from accounts.kernel.db import writing
from accounts.kernel.db_connections import release_connection
from accounts.kernel.errors import Invalid, SessionEnded, invalid
from accounts.kernel.rate_limits import consume
from accounts.models import Session, User

from .endpoints import Endpoint, parse_endpoint
from .errors import EndpointInUse, NoSuchSubscription, PushOff, TooManySubscriptions
from .models import PushSubscription, endpoint_digest
from .public_addresses import (
    AddressRefused,
    ResolverBusy,
    Unresolved,
    resolve,
    subscriber_lookups,
)
from .selectors import subscriptions_of
from .vapid import base64url, from_base64url, vapid_keys

POINT_LENGTH = 65
SECRET_LENGTH = 16


def public_key() -> str:
    """Returns the key for browsers. Raises PushOff."""
    keys = vapid_keys()
    if keys is None:
        raise PushOff
    return keys.public_key


def subscribe(
    *, caller: Caller, endpoint: str, p256dh: str, auth: str
) -> tuple[PushSubscription, bool]:
    """Stores a subscription for the caller's session; True if the endpoint is new.

    A known endpoint moves to this session, also from another user who uses the same browser: the
    same keys prove it.

    Raises Invalid, RateLimited, PushOff, SessionEnded, EndpointInUse, TooManySubscriptions.
    """
    parsed = _parsed(endpoint)
    p256dh, auth = _checked_keys(p256dh, auth)
    consume("CHAT_SUBSCRIBE_RATE", caller.user_id)
    public_key()
    # Other requests may have the connection while the host is looked up.
    release_connection()
    _check_addresses(parsed)
    try:
        return _store(caller, endpoint, parsed.host, p256dh, auth)
    except IntegrityError:
        # A concurrent request stored the endpoint first: now it is known.
        return _store(caller, endpoint, parsed.host, p256dh, auth)


def unsubscribe(*, user_id: int, subscription_id: int) -> None:
    """Deletes one of the user's subscriptions. Raises NoSuchSubscription."""
    with writing():
        found = subscriptions_of(user_id).filter(pk=subscription_id).first()
        if found is None:
            raise NoSuchSubscription
        found.delete()


def _parsed(endpoint: str) -> Endpoint:
    try:
        return parse_endpoint(endpoint)
    except ValueError as error:
        raise invalid("endpoint", str(error)) from None


def _check_addresses(endpoint: Endpoint) -> None:
    """Refuses hosts that are not on the internet.

    A name that does not resolve now is stored: the addresses are checked at each push, and a short
    failure of DNS must not cost a browser its subscription.
    """
    try:
        resolve(endpoint.host, endpoint.port, subscriber_lookups)
    except AddressRefused:
        raise invalid("endpoint", "must have public addresses only") from None
    except (Unresolved, ResolverBusy):
        return


def _checked_keys(p256dh: str, auth: str) -> tuple[str, str]:
    """Returns the keys in one spelling. Raises Invalid."""
    try:
        point = _decoded(p256dh, POINT_LENGTH)
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    except ValueError:
        raise _invalid_key("p256dh", "must be a public key on P-256 in base64url") from None
    try:
        secret = _decoded(auth, SECRET_LENGTH)
    except ValueError:
        raise _invalid_key("auth", "must be 16 bytes in base64url") from None
    return base64url(point), base64url(secret)


def _invalid_key(name: str, message: str) -> Invalid:
    errors = [{"loc": ["keys", name], "msg": message, "type": "value_error"}]
    return Invalid(f"keys.{name}: {message}", errors=errors)


def _decoded(text: str, length: int) -> bytes:
    """Decodes both alphabets of base64. Raises ValueError."""
    decoded = from_base64url(text.replace("+", "-").replace("/", "_"))
    if len(decoded) != length:
        raise ValueError("wrong length")
    return decoded


def _store(
    caller: Caller, endpoint: str, host: str, p256dh: str, auth: str
) -> tuple[PushSubscription, bool]:
    with writing():
        # Locked, so that two requests cannot exceed the limit and the session cannot end meanwhile.
        User.objects.select_for_update().filter(pk=caller.user_id).first()
        session = Session.objects.select_for_update().filter(pk=caller.session_id, ended_at=None)
        if session.first() is None:
            raise SessionEnded
        digest = endpoint_digest(endpoint)
        known = PushSubscription.objects.select_for_update().filter(endpoint_digest=digest).first()
        if known is not None:
            return _moved(known, caller, p256dh, auth), False
        _check_count(caller.user_id)
        made = PushSubscription.objects.create(
            session_id=caller.session_id,
            user_id=caller.user_id,
            endpoint=endpoint,
            endpoint_digest=digest,
            host=host,
            p256dh=p256dh,
            auth=auth,
        )
    return made, True


def _check_count(user_id: int) -> None:
    """Checks that the user may have one more. Raises TooManySubscriptions."""
    limit: int | None = settings.CHAT_SUBSCRIPTIONS_PER_USER
    if limit is not None and subscriptions_of(user_id).count() >= limit:
        raise TooManySubscriptions


def _moved(known: PushSubscription, caller: Caller, p256dh: str, auth: str) -> PushSubscription:
    is_other = known.user_id != caller.user_id
    if is_other and (known.p256dh, known.auth) != (p256dh, auth) and _is_live(known):
        raise EndpointInUse
    if is_other or not _is_live(known):
        _check_count(caller.user_id)
    if is_other:
        # The pushes that wait are about rooms of the other user.
        known.duepush_set.all().delete()
    known.session_id, known.user_id = caller.session_id, caller.user_id
    known.p256dh, known.auth = p256dh, auth
    known.failures, known.retry_at = 0, None
    known.save()
    return known


def _is_live(known: PushSubscription) -> bool:
    return subscriptions_of(known.user_id).filter(pk=known.pk).exists()
