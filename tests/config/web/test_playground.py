"""The playground: how it is served, and how much a browser loads for it."""

import re

from django.conf import settings
from django.test import Client

from config.openapi import document
from config.web.csp import POLICY
from tests.servers import ROOT

MAX_BYTES = 80 * 1024
STATIC = {"web": ROOT / "config/web/static/web", "chat-client": ROOT / "clients/typescript/dist"}
LOADED = re.compile(r'(?:src|href)="/static/([^"]+\.(?:js|css|svg))"')
IMPORTED = re.compile(r'^(?:import|export)[^;]*?from "([^"]+)";', re.MULTILINE)


def page() -> str:
    answer = Client().get("/api/sockets")
    assert answer.status_code == 200
    return answer.content.decode()


def with_imports(path: str, found: dict[str, str]) -> dict[str, str]:
    """Adds a file of /static/, and all that it imports, to the texts by path."""
    if path not in found:
        folder, _, name = path.partition("/")
        found[path] = (STATIC[folder] / name).read_text(encoding="utf-8")
        for imported in IMPORTED.findall(found[path]) if path.endswith(".js") else []:
            parts = path.split("/")[:-1]
            for part in imported.split("/"):
                if part == "..":
                    parts.pop()
                elif part != ".":
                    parts.append(part)
            with_imports("/".join(parts), found)
    return found


def loaded() -> dict[str, str]:
    found: dict[str, str] = {}
    for path in LOADED.findall(page()):
        with_imports(path, found)
    return found


def test_page_has_the_policy_and_no_inline_code() -> None:
    answer = Client().get("/api/sockets/")
    assert answer.headers["Content-Security-Policy"] == POLICY
    assert answer.headers["Cache-Control"] == "no-store"
    text = answer.content.decode()
    assert not re.search(r"<style|<script(?![^>]* src=)| style=| on\w+=", text)


def test_page_is_only_read() -> None:
    answer = Client().post("/api/sockets")
    assert answer.status_code == 405
    assert answer.json()["code"] == "method_not_allowed"


def test_a_browser_loads_at_most_80_kb() -> None:
    """Nothing is minified. The playground's files are indented by tabs, which saves 2 KB."""
    sizes = {path: len(text.encode()) for path, text in loaded().items()}
    assert len(sizes) > 10
    assert sum(sizes.values()) <= MAX_BYTES, sizes


def test_modules_turn_no_text_into_html_or_code() -> None:
    ours = [text for path, text in loaded().items() if path.startswith("web/playground/")]
    forbidden = re.compile(
        "innerHTML|outerHTML|insertAdjacentHTML|dangerouslySet|eval\\(|new Function"
    )
    assert [found for text in ours if (found := forbidden.search(text))] == []


def test_swagger_ui_and_the_socket_docs_lead_to_the_playground() -> None:
    assert settings.CHAT_WEB
    assert "(/api/sockets)" in document()["info"]["description"]
    assert "`/api/sockets`" in (ROOT / "docs" / "websocket.md").read_text(encoding="utf-8")
