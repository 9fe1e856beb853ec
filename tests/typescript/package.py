"""The package `clients/typescript`: generates its types, compiles it, runs its tests."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

from tests.openapi.tools import install
from tests.servers import ROOT

FOLDER = ROOT / "clients/typescript"
GENERATED = FOLDER / "src/generated"
DIST = FOLDER / "dist"
MAX_CORE = 8192
"""Bytes of the compressed core: what `index.js` holds."""
TIMEOUT = 300.0


def node(*arguments: str) -> str:
    """Runs node in the folder of the package.

    Raises AssertionError with all that it printed when it fails.
    """
    done = subprocess.run(
        ["node", *arguments],
        cwd=FOLDER,
        env=os.environ | {"NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    return done.stdout


def prepare() -> None:
    """Installs the tools. Raises Unavailable."""
    install(FOLDER)


def generate(into: Path, documents: Path) -> None:
    """Writes the types of the frames and of the REST API."""
    asyncapi, openapi = documents / "asyncapi.json", documents / "openapi.json"
    asyncapi.write_text(_output("-m", "config.asyncapi"))
    openapi.write_text(_output("-c", _PRINT_OPENAPI))
    into.mkdir(parents=True, exist_ok=True)
    node("scripts/generate.mjs", str(asyncapi), str(openapi), str(into))


def build(into: Path) -> None:
    node("scripts/build.mjs", str(into))


def differences(left: Path, right: Path) -> list[str]:
    """Returns the files that differ between two folders."""
    mine, theirs = _contents(left), _contents(right)
    return sorted(name for name in mine | theirs if mine.get(name) != theirs.get(name))


def core_size() -> int:
    return len(gzip.compress((DIST / "index.js").read_bytes(), 9, mtime=0))


def _contents(folder: Path) -> dict[str, bytes]:
    files = [file for file in folder.rglob("*") if file.is_file()]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


_PRINT_OPENAPI = """
import os, json, django
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()
from config.openapi import document
print(json.dumps(document()))
"""


def _output(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    )
    json.loads(done.stdout)
    return done.stdout
