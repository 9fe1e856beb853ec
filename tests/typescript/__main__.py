"""Runs all checks and prints a line for each."""

import os
import re
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.openapi.tools import Unavailable

from .package import (
    DIST,
    FOLDER,
    GENERATED,
    MAX_CORE,
    build,
    core_size,
    differences,
    generate,
    node,
    prepare,
)

UPDATE = "make clients UPDATE=1 rewrites them"


def types(folder: Path) -> str:
    generate(folder / "generated", folder)
    found = differences(GENERATED, folder / "generated")
    assert not found, f"differ from the documents: {', '.join(found)}. {UPDATE}"
    return "as the documents say"


def modules(folder: Path) -> str:
    build(folder / "dist")
    found = differences(DIST, folder / "dist")
    assert not found, f"differ from the sources: {', '.join(found)}. {UPDATE}"
    return "as the sources say"


def usage(_: Path) -> str:
    node("node_modules/typescript/bin/tsc", "--project", "tests/types")
    return "compiles, with a switch over all frames"


def size(_: Path) -> str:
    assert core_size() <= MAX_CORE, f"{core_size()} bytes, and {MAX_CORE} are allowed"
    return f"{core_size()} bytes"


def tests(_: Path) -> str:
    files = sorted(str(file) for file in (FOLDER / "tests").glob("*.test.mjs"))
    report = node("--test", *files)
    passed = re.search(r"^[#ℹ] pass (\d+)", report, re.MULTILINE)
    return f"{passed[1] if passed else 'no'} passed"


def main() -> int:
    try:
        prepare()
    except Unavailable as reason:
        required = os.environ.get("CLIENTS") == "required"
        print(f"make clients: {'failed' if required else 'skipped'}, {reason}.")
        return 1 if required else 0
    failed = 0
    checks: list[Callable[[Path], str]] = [types, modules, usage, size, tests]
    with tempfile.TemporaryDirectory() as name:
        if os.environ.get("UPDATE"):
            generate(GENERATED, Path(name))
            build(DIST)
        for check in checks:
            began = time.monotonic()
            try:
                output = check(Path(name))
            except AssertionError as error:
                output, failed = f"FAILED: {error}", failed + 1
            print(f"{check.__name__:<10}{output} ({time.monotonic() - began:.1f} s)", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
