"""Checks port and settings before `make run` or `make serve` starts the server.

Called as `python -m config.preflight HOST PORT WORKERS`: exit status 1 when the port is taken.
"""

import socket
import sys

from .env import read_environment

WORKERS_NEED_REDIS = (
    "Warning: WORKERS={workers} without REDIS_URL. The processes deliver each other's messages "
    "about a second late, and each counts limits and online users only for itself. "
    "Set REDIS_URL=redis://127.0.0.1:6379/0, or use WORKERS=1.\n"
)


def main(host: str, port: str, workers: str) -> int:
    problem = port_problem(host, port)
    if problem:
        sys.stderr.write(problem)
        return 1
    if workers != "1" and not read_environment().redis_url:
        sys.stderr.write(WORKERS_NEED_REDIS.format(workers=workers))
    return 0


def port_problem(host: str, port: str) -> str:
    """Returns why no server can listen there and the remedy; empty when one can."""
    if not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:  # noqa: PLR2004
        return f"PORT={port} is not a port: use a number from 1 to 65535.\n"
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)[
            0
        ]
        with socket.socket(family, kind) as probe:
            # As the servers do: allows the port of a server that has just ended.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except PermissionError:
        return f"Port {port} needs root. Choose one above 1023, as in: make run PORT=9000\n"
    except socket.gaierror:
        return f"HOST={host} is not an address of this machine.\n"
    except OSError as error:
        return (
            f"Port {port} of {host} cannot be used ({(error.strerror or str(error)).lower()}): "
            f"stop the program that uses it, or choose another port, as in: make run PORT=9000\n"
        )
    return ""


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
