"""Runs docs/chat.http and the Postman collection, and prints a line for each check."""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.openapi.tools import Unavailable, install
from tests.servers import Server, serving

from . import postman_cli
from .httpyac import run_http_file
from .npm import FOLDER, has_postman_cli

Check = Callable[[Server, Path], str]


def chat_http(server: Server, folder: Path) -> str:
    return f"{run_http_file(server.http, folder)} requests succeeded"


def postman_lint(_server: Server, folder: Path) -> str:
    return f"{postman_cli.lint(folder)} files without a finding"


def postman_run(server: Server, folder: Path) -> str:
    return f"{postman_cli.run_collection(server.http, folder)} requests, each answered 2xx"


def main() -> int:
    try:
        install(FOLDER)
    except Unavailable as reason:
        print(f"make http: skipped, {reason}.")
        return 0
    checks: list[Check] = [chat_http]
    if has_postman_cli():
        checks += [postman_lint, postman_run]
    else:
        print("make http: without Postman, its command line is not there for this system.")
    return sum(map(_fails, checks)) and 1


def _fails(check: Check) -> bool:
    """Runs a check against a server with a fresh database."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name, serving("uvicorn", Path(name)) as server:
        try:
            output, failed = check(server, Path(name)), False
        except AssertionError as error:
            output, failed = f"FAILED\n{error}", True
    print(f"{check.__name__:<14}{output} ({time.monotonic() - began:.1f} s)", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
