"""Builds the image of the Dockerfile without Docker: its files and its commands."""

import json
import shutil
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

from tests.servers import ROOT

Instruction = tuple[str, str]


def instructions() -> list[Instruction]:
    """Returns `[("FROM", "python:…"), …]`; no instruction spans several lines."""
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    parts = [line.partition(" ") for line in lines if line and not line.startswith("#")]
    return [(name, rest.strip()) for name, _, rest in parts]


def last_stage() -> list[Instruction]:
    every = instructions()
    starts = [place for place, (name, _) in enumerate(every) if name == "FROM"]
    return every[starts[-1] :]


def arguments(name: str) -> str:
    """Returns the arguments of the last instruction of this name."""
    return [rest for found, rest in last_stage() if found == name][-1]


def exec_form(text: str) -> list[str]:
    """Parses the exec form. Fails on shell form: the shell would swallow SIGTERM."""
    command: list[str] = json.loads(text)
    return command


def command() -> list[str]:
    return exec_form(arguments("CMD"))


def health_check() -> list[str]:
    return exec_form(arguments("HEALTHCHECK").partition("CMD ")[2])


def environment() -> dict[str, str]:
    pairs = (pair.partition("=") for pair in arguments("ENV").split())
    return {name: value for name, _, value in pairs if name != "PATH"}


def copies() -> Iterator[tuple[str, str]]:
    for name, rest in last_stage():
        if name == "COPY" and not rest.startswith("--from"):
            source, target = rest.split()
            yield source, target


def build(folder: Path) -> None:
    """Copies into `folder` what the Dockerfile copies into /app."""
    for source, target in copies():
        there = folder / target
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, there, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            there.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / source, there)


def is_sent(path: str) -> bool:
    """Returns whether .dockerignore admits a file: the last matching line decides."""
    sent = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        pattern = line.removeprefix("!").removeprefix("**/")
        parts = path.split("/")
        whole = ["/".join(parts[: n + 1]) for n in range(len(parts))]
        tried = [*whole, *parts] if line.startswith("**/") else whole
        if any(fnmatch(one, pattern) for one in tried):
            sent = line.startswith("!")
    return sent
