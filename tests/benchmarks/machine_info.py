"""Describes processor, system and versions."""

import os
import platform
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

PACKAGES = (
    *("django", "channels", "channels-redis", "daphne", "uvicorn", "uvloop", "websockets"),
    *("psycopg", "redis"),
)


def described() -> tuple[str, ...]:
    """Returns lines for the machine, Python with its packages, and Node."""
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    lines = [
        f"{os.cpu_count()} × {_processor()}, {platform.system()} {platform.release()}",
        f"Python {platform.python_version()}, {packages}",
    ]
    node = shutil.which("node")
    if node:
        done = subprocess.run([node, "--version"], capture_output=True, text=True, check=True)
        lines.append(f"Node {done.stdout.strip().removeprefix('v')}")
    return tuple(lines)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
