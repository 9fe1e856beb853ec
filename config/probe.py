"""Asks a server how it is: `python -m config.probe http://127.0.0.1:8000/readyz`.

For health checks, so it starts no Django and needs no curl. Exit code 0 when the answer is 200,
else 1 and one sentence. The request names one of `ALLOWED_HOSTS`: the server refuses any other.
"""

import os
import sys
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

TIMEOUT = 4.0


def status_of(url: str, host: str) -> int:
    """Raises OSError, HTTPException."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "", parts.port or 80, timeout=TIMEOUT)
    try:
        connection.request("GET", parts.path, headers={"Host": host})
        return connection.getresponse().status
    finally:
        connection.close()


def allowed_host(hosts: str) -> str:
    """`.example.com` allows that name and all below it, `*` any."""
    first = hosts.split(",", maxsplit=1)[0].strip().lstrip(".")
    return "localhost" if first in ("", "*") else first


def main(url: str) -> str | None:
    """None when all is well, else what is wrong."""
    try:
        status = status_of(url, allowed_host(os.environ.get("ALLOWED_HOSTS", "")))
    except (OSError, HTTPException) as error:
        return f"{url} does not answer: {type(error).__name__}"
    return None if status == HTTPStatus.OK else f"{url} answers {status}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
