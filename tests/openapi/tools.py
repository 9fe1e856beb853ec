"""The tools from npm: installed as locked, or a reason why they are not."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
MIN_NODE = 20
INSTALL_TIMEOUT = 300.0
TOOL_TIMEOUT = 120.0
UNREACHABLE = re.compile(
    "ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|ERR_SOCKET_TIMEOUT"
)
# No tool phones home, none looks for a newer version of itself.
QUIET = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true", "CI": "true"}


class Unavailable(Exception):
    """Why this host cannot run the tools; a reason to skip, not to fail."""


def install(folder: Path = FOLDER) -> None:
    """Runs `npm ci` where the folder does not hold what is locked.

    Raises Unavailable.
    """
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        raise Unavailable("node and npm are not on PATH")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    if int(version.lstrip("v").partition(".")[0]) < MIN_NODE:
        raise Unavailable(f"node is {version.strip()}, and {MIN_NODE} is needed")
    lock, installed = folder / "package-lock.json", folder / "node_modules/.package-lock.json"
    if installed.exists() and installed.stat().st_mtime >= lock.stat().st_mtime:
        return
    try:
        done = subprocess.run(
            [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=INSTALL_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Unavailable("the npm registry did not answer in time") from None
    if done.returncode and UNREACHABLE.search(done.stderr):
        raise Unavailable("the npm registry cannot be reached")
    if done.returncode:
        raise SystemExit(f"npm ci failed:\n{done.stderr[-3000:]}")


def run(
    tool: str,
    *arguments: str,
    folder: Path = FOLDER,
    cwd: Path = FOLDER,
    env: Mapping[str, str] = QUIET,
) -> str:
    """Returns what a tool of `folder` prints on stdout.

    Raises AssertionError with all that it printed when it fails.
    """
    done = subprocess.run(
        [str(folder / "node_modules/.bin" / tool), *arguments],
        cwd=cwd,
        env=os.environ | env,
        capture_output=True,
        text=True,
        timeout=TOOL_TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, f"{tool} failed:\n{(done.stdout + done.stderr)[-4000:]}"
    return done.stdout
