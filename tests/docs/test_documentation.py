"""What README.md and docs/ name exists: links, paths, settings, metrics."""

import re
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest
from django.core.management import get_commands

from config.env import Environment
from tests.servers import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# Installed or made by commands that the pages describe, or files of an installation.
MADE = (".env", "tests/openapi/node_modules", "fullchain.pem", "privkey.pem")
ROOTS = (
    *("config/", "accounts/", "rooms/", "messaging/", "realtime/", "tests/", "docs/", ".ci/"),
    "clients/python/",
)
CODE = ("config", "accounts", "rooms", "messaging", "realtime")
SUFFIXES = ("py", "md", "json", "toml", "txt", "conf", "yaml", "css", "ts", "c", "sql", "service")

FENCE = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
FILE = re.compile(rf"[\w@./-]+\.(?:{'|'.join(SUFFIXES)})")
DEFAULT = re.compile(r"^#?(CHAT_\w+)=(.*)$", re.MULTILINE)
LIMIT = re.compile(r"^\| `(CHAT_\w+)` \| `([^`]*)` \|", re.MULTILINE)

# Settings of an installation that limit no client.
NO_LIMITS = {
    "CHAT_ACCESS_TOKEN_MINUTES",
    "CHAT_DATABASE_POOL",
    "CHAT_DRAIN_DELAY",
    "CHAT_FOLLOWER",
    "CHAT_FOLLOWER_INTERVAL",
    "CHAT_FOLLOWER_TTL",
    "CHAT_HSTS_SECONDS",
    "CHAT_LOG_FORMAT",
    "CHAT_METRICS_TOKEN",
    "CHAT_PASSWORD_ITERATIONS",
    "CHAT_PRESENCE_TTL",
    "CHAT_PUSH_DELAY",
    "CHAT_PUSH_LOOPBACK",
    "CHAT_PUSH_THREADS",
    "CHAT_REFRESH_TOKEN_DAYS",
    "CHAT_SENDFILE_PATH",
    "CHAT_STATIC_CACHE_SIZE",
    "CHAT_TRUSTED_PROXIES",
    "CHAT_VAPID_CONTACT",
    "CHAT_VAPID_PRIVATE_KEY",
    "CHAT_WEB",
}

page_by_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub makes of the headings of a page."""
    text = FENCE.sub("", page.read_text())
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in HEADING.findall(text)
    }


def code_in(page: Path) -> Iterator[str]:
    """The fenced blocks of a page, then each text in backticks."""
    text = page.read_text()
    yield from FENCE.findall(text)
    yield from INLINE.findall(FENCE.sub("", text))


@cache
def file_names() -> set[str]:
    """The names of all files in the repository, without those that its commands make."""
    files = [file for root in ROOTS for file in (ROOT / root).rglob("*")]
    return {file.name for file in [*ROOT.iterdir(), *files] if "node_modules" not in file.parts}


@cache
def source() -> str:
    return "\n".join(file.read_text() for top in CODE for file in (ROOT / top).rglob("*.py"))


@page_by_page
def test_relative_links_resolve(page: Path) -> None:
    text = FENCE.sub("", page.read_text())
    for link in LINK.findall(INLINE.sub("", text)):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


@page_by_page
def test_paths_in_backticks_exist(page: Path) -> None:
    names = file_names()
    for text in INLINE.findall(FENCE.sub("", page.read_text())):
        if text.startswith(MADE) or text.endswith(MADE) or "*" in text:
            continue
        if text.startswith(ROOTS):
            assert (ROOT / text).exists(), text
        elif FILE.fullmatch(text) and "/" not in text:
            assert text in names, text


def test_settings_exist() -> None:
    described = set(re.findall(r"^#?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert described == {name.upper() for name in Environment.model_fields}
    for page in PAGES:
        named = set(re.findall(r"\bCHAT_[A-Z_]+[A-Z]\b", page.read_text()))
        # `CHAT_(REQUESTS|…)` is a pattern.
        assert named <= described, page


def test_every_limit_is_documented_with_its_default() -> None:
    defaults = dict(DEFAULT.findall((ROOT / ".env.example").read_text()))
    limits = {name: value for name, value in defaults.items() if name not in NO_LIMITS}
    assert dict(LIMIT.findall((ROOT / "docs" / "websocket.md").read_text())) == limits


def test_metrics_exist() -> None:
    known = set(re.findall(r'"(chat_[a-z_]+)"', source()))
    for page in PAGES:
        for name in re.findall(r"(?<![\w/.])chat_(?!client\b)[a-z_]+", page.read_text()):
            base = re.sub(r"_(total|bucket|sum|count)$", "", name)
            assert {name, base} & known, (page, name)


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        for text in code_in(page):
            named = set(re.findall(r"\bmake (?:-\w+ )*([a-z]+)", text))
            assert named <= targets, (page, text)


def test_commands_exist() -> None:
    for page in PAGES:
        for text in code_in(page):
            commands = set(re.findall(r"manage\.py ([a-z]\w*)", text))
            assert commands <= get_commands().keys(), (page, text)
            for module in re.findall(r"python3? -m ([\w.]+\w)", text):
                assert find_spec(module) is not None, (page, text)


def test_every_decision_is_listed() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = set(LINK.findall((folder / "README.md").read_text()))
    assert listed == {page.name for page in folder.glob("0*.md")}
