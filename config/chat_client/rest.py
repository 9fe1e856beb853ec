"""Calls the REST API of a server."""

import json
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

TIMEOUT = 15.0
MAX_ANSWER = 8 * 1024 * 1024
"""Bytes. A page of history ends at about 1 MB."""


class Unreachable(Exception):
    """The server does not answer."""


class Refused(Exception):
    """The server answered with an error; the text is its `detail`."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        self.status = status
        self.code: str = body.get("code", "")
        super().__init__(body.get("detail") or f"The server answered with HTTP {status}")


class Rest:
    """Calls the API of one server. Calls block: use a thread beside an event loop."""

    def __init__(self, url: str) -> None:
        """Raises ValueError for a malformed URL."""
        parts = urlsplit(url if "://" in url else f"http://{url}")
        try:
            self._host, self._port = parts.hostname or "", parts.port
        except ValueError:
            self._host = ""
        if parts.scheme not in ("http", "https") or not self._host:
            raise ValueError(f"{url} is not a URL such as http://127.0.0.1:8000")
        self._secure = parts.scheme == "https"
        self._path = parts.path.rstrip("/")
        self.url = f"{parts.scheme}://{parts.netloc}{self._path}"
        self.websocket_url = f"{'wss' if self._secure else 'ws'}://{parts.netloc}{self._path}/ws"

    @property
    def is_local(self) -> bool:
        """Checks for a server on this machine, where the published password is safe."""
        try:
            return ip_address(self._host).is_loopback
        except ValueError:
            return self._host == "localhost"

    def call(self, method: str, path: str, body: Any = None, *, access: str | None = None) -> Any:
        """Returns the decoded response. Raises Refused, Unreachable."""
        headers = {"Accept": "application/json", "User-Agent": "chat-client"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if access is not None:
            headers["Authorization"] = f"Bearer {access}"
        connection_class = HTTPSConnection if self._secure else HTTPConnection
        connection = connection_class(self._host, self._port, timeout=TIMEOUT)
        try:
            content = None if body is None else json.dumps(body)
            connection.request(method, f"{self._path}/api{path}", content, headers)
            return _decode(connection.getresponse())
        except (OSError, HTTPException) as error:
            raise Unreachable(str(error)) from error
        finally:
            connection.close()


def _decode(response: HTTPResponse) -> Any:
    text = response.read(MAX_ANSWER)
    try:
        body = json.loads(text) if text else {}
    except ValueError:
        body = {"detail": f"Not a chat server: it answered with HTTP {response.status}"}
        raise Refused(response.status, body) from None
    if response.status >= 300:  # noqa: PLR2004 - the API never redirects
        raise Refused(response.status, body if isinstance(body, dict) else {})
    return body
