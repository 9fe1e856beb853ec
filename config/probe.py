"""Probes a server: `python -m config.probe http://127.0.0.1:8000/readyz`.

For health checks of containers: starts no Django and needs no curl. The exit code is 0 when the
server answers 200, else 1 with one sentence. The request's Host is the first of `ALLOWED_HOSTS`,
because the server refuses others.
"""

import os
import sys
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

TIMEOUT = 4.0


def status_of(url: str, host: str) -> int:
    """Returns the status of a GET request. Raises OSError, HTTPException."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "", parts.port or 80, timeout=TIMEOUT)
    try:
        connection.request("GET", parts.path, headers={"Host": host})
        return connection.getresponse().status
    finally:
        connection.close()


def allowed_host(hosts: str) -> str:
    """Returns a host that ALLOWED_HOSTS accepts.

    `.example.com` accepts example.com, `*` any.
    """
    first = hosts.split(",", maxsplit=1)[0].strip().lstrip(".")
    return "localhost" if first in ("", "*") else first


def main(url: str) -> str | None:
    """Returns None when the server answers 200, else the problem."""
    try:
        status = status_of(url, allowed_host(os.environ.get("ALLOWED_HOSTS", "")))
    except (OSError, HTTPException) as error:
        return f"{url} does not answer: {type(error).__name__}"
    return None if status == HTTPStatus.OK else f"{url} answers {status}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
