"""The chat of README.md, copied from there: two windows talk."""

import re
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from typing_extensions import override

from tests.servers import ROOT, Server

HTML = re.compile(r"^```html\n(.*?)^```", re.MULTILINE | re.DOTALL)


class QuietHandler(SimpleHTTPRequestHandler):
    @override
    def log_message(self, format: str, *args: object) -> None:
        """Logs nothing."""


@pytest.fixture
def chat_page(site: Server, tmp_path: Path) -> Iterator[str]:
    """The address of the page, served from another port as README.md says."""
    (page,) = HTML.findall((ROOT / "README.md").read_text())
    assert page.count("\n") <= 27, "25 lines of HTML and the empty ones between them"
    (tmp_path / "chat.html").write_text(page.replace("http://127.0.0.1:8000", site.http))
    handler = partial(QuietHandler, directory=str(tmp_path))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/chat.html"
    server.shutdown()
    server.server_close()


def test_two_windows_of_the_readme_chat_talk(browser: Browser, chat_page: str) -> None:
    ila, kaushal = browser.new_page(), browser.new_page()
    for page, name in ((ila, "ila"), (kaushal, "kaushal")):
        page.goto(f"{chat_page}#{name}")
    for speaker, text in ((ila, "Hello from ila"), (kaushal, "Hello from kaushal")):
        speaker.get_by_label("Message").fill(text)
        speaker.get_by_role("button", name="Send").click()
        for page in (ila, kaushal):
            expect(page.locator("li").filter(has_text=f"{text} (sent)")).to_be_visible()
    for page in (ila, kaushal):
        expect(page.locator("li")).to_have_count(2)
        page.close()
