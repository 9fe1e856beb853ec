"""Runs the browser tests, or says in one line why not."""

import os
import sys

import pytest

from .chromium import NAMES, find_chromium

REQUIRED = os.environ.get("BROWSER") == "required"


def main() -> int:
    if find_chromium() is None:
        names = ", ".join(NAMES)
        print(f"make browser: skipped, CHROMIUM is not set and none of {names} is on PATH.")
        return 1 if REQUIRED else 0
    return pytest.main(["-q", "-n", "0", "tests/browser", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
