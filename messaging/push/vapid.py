"""Identifies this installation to push services (VAPID, RFC 8292)."""

import base64
import functools
import hashlib
import time
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.conf import settings
from py_vapid import Vapid02

TOKEN_LIFETIME = 12 * 3600
"""Seconds. RFC 8292 allows a day at most, and clocks differ."""
DEVELOPMENT_CONTACT = "mailto:development@example.com"
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@dataclass(frozen=True)
class VapidKeys:
    """The key pair, and whom a push service may contact."""

    private_key: ec.EllipticCurvePrivateKey
    contact: str

    @property
    def public_key(self) -> str:
        """Returns the `applicationServerKey` for browsers."""
        point = self.private_key.public_key().public_bytes(
            Encoding.X962, PublicFormat.UncompressedPoint
        )
        return base64url(point)

    def authorization(self, origin: str) -> str:
        """Returns the Authorization header for a push service."""
        claims = {
            "aud": origin,
            "exp": int(time.time()) + TOKEN_LIFETIME,
            "sub": self.contact,
        }
        # py_vapid accepts fewer contacts than the standard; `config.env` has checked ours.
        signer = Vapid02(private_key=self.private_key, conf={"no-strict": True})
        header: str = signer.sign(claims)["Authorization"]
        return header


def vapid_keys() -> VapidKeys | None:
    """Returns the installation's keys, None where there are no pushes.

    With DEBUG they are derived from SECRET_KEY: all processes agree without another setting.
    """
    if settings.CHAT_FOLLOWER == "off":
        return None
    if settings.CHAT_VAPID_PRIVATE_KEY:
        secret = int.from_bytes(from_base64url(settings.CHAT_VAPID_PRIVATE_KEY), "big")
        return _keys(secret, settings.CHAT_VAPID_CONTACT)
    if settings.DEBUG:
        seed = hashlib.sha512(b"vapid:" + settings.SECRET_KEY.encode()).digest()
        secret = int.from_bytes(seed, "big") % (P256_ORDER - 1) + 1
        return _keys(secret, DEVELOPMENT_CONTACT)
    return None


@functools.cache
def _keys(secret: int, contact: str) -> VapidKeys:
    return VapidKeys(ec.derive_private_key(secret, ec.SECP256R1()), contact)


def new_private_key() -> str:
    """Makes a key for CHAT_VAPID_PRIVATE_KEY."""
    secret = ec.generate_private_key(ec.SECP256R1()).private_numbers().private_value
    return base64url(secret.to_bytes(32, "big"))


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def from_base64url(text: str) -> bytes:
    """Decodes with or without padding. Raises ValueError."""
    stripped = text.rstrip("=")
    return base64.b64decode(stripped + "=" * (-len(stripped) % 4), altchars="-_", validate=True)
