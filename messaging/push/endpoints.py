"""Parses the URLs of push endpoints.

The addresses of their hosts are checked in `public_addresses.py`.
"""

from dataclasses import dataclass
from urllib.parse import urlsplit

from django.conf import settings

from .public_addresses import is_loopback

MAX_LENGTH = 2048
DEFAULT_PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint's parts. `target` is the path with the query."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def origin(self) -> str:
        """Returns the audience of a VAPID token: scheme, host and unusual port."""
        return f"{self.scheme}://{self.authority}"

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


def parse_endpoint(text: str) -> Endpoint:
    """Parses a URL. Raises ValueError with a reason for people."""
    # Visible ASCII only: no line breaks for a request line, no names that look alike.
    if not text.isascii() or not text.isprintable() or set(text) & set(" \\"):
        raise ValueError("must be a URL of printable ASCII characters")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError("is not a URL") from None
    host = parts.hostname or ""
    is_local = settings.CHAT_PUSH_LOOPBACK and is_loopback(host)
    if parts.scheme != "https" and not (parts.scheme == "http" and is_local):
        raise ValueError("must be an https URL")
    if not host or "@" in parts.netloc or "%" in host or "#" in text:
        raise ValueError("must have a host, and neither a user nor a fragment")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Endpoint(parts.scheme, host, port or DEFAULT_PORTS[parts.scheme], target)
