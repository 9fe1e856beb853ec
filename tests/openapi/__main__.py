"""Runs all checks and prints a line for each."""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from tests.servers import serving

from .postman import run_collection
from .tools import FOLDER, Unavailable, install, run

GENERATED = FOLDER / "generated"


def redocly(document: Path) -> str:
    """Its exit status counts errors only."""
    totals = json.loads(run("redocly", "lint", "--format=json", str(document)))["totals"]
    assert totals["errors"] == totals["warnings"] == 0, run("redocly", "lint", str(document))
    return "nothing"


def spectral(document: Path) -> str:
    run("spectral", "lint", "--ruleset", ".spectral.yaml", "--fail-severity=hint", str(document))
    return "nothing"


def redocly_asyncapi(document: Path) -> str:
    return redocly(asyncapi_beside(document))


def spectral_asyncapi(document: Path) -> str:
    ruleset = ".spectral-asyncapi.yaml"
    file = str(asyncapi_beside(document))
    run("spectral", "lint", "--ruleset", ruleset, "--fail-severity=hint", file)
    return "nothing"


def asyncapi_beside(document: Path) -> Path:
    return document.with_name("asyncapi.yaml")


def typescript(document: Path) -> str:
    run("openapi-typescript", str(document), "--output", str(GENERATED / "schema.d.ts"))
    run("tsc", "--strict", "--noEmit", "minimal.ts")
    return "compiles"


def main() -> int:
    try:
        install()
    except Unavailable as reason:
        print(f"make openapi: skipped, {reason}.")
        return 0
    failed = 0
    with (
        tempfile.TemporaryDirectory() as name,
        serving("uvicorn", Path(name)) as server,
    ):
        folder, document = Path(name), Path(name) / "openapi.json"
        document.write_text(httpx.get(f"{server.http}/api/openapi.json").text)
        sockets = httpx.get(f"{server.http}/api/asyncapi.yaml").text
        asyncapi_beside(document).write_text(sockets)

        def postman(document: Path) -> str:
            return f"{run_collection(document, server.http, folder)} requests, each answered 2xx"

        checks: list[Callable[[Path], str]] = [
            *(redocly, spectral, redocly_asyncapi, spectral_asyncapi),
            *(typescript, postman),
        ]
        for check in checks:
            began = time.monotonic()
            try:
                output = check(document)
            except AssertionError as error:
                output, failed = f"FAILED\n{error}", failed + 1
            print(f"{check.__name__:<18}{output} ({time.monotonic() - began:.1f} s)", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
