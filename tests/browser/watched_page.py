"""Records what a page must not do: errors, requests to other hosts, blocked resources."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Page

# Reports what the policy blocks, also where the console is silent.
VIOLATIONS = """
window.__violations = [];
document.addEventListener("securitypolicyviolation", (event) =>
  window.__violations.push(`${event.effectiveDirective} ${event.blockedURI}`));
"""


class WatchedPage:
    """A page of a browser, with the complaints about it so far."""

    def __init__(self, page: Page, host: str) -> None:
        self.page = page
        self.complaints: list[str] = []
        self._host = host
        page.add_init_script(VIOLATIONS)
        page.on("console", self._note_console)
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        page.on("request", lambda request: self._note_address(request.url))
        page.on("websocket", lambda socket: self._note_address(socket.url))

    def _note_console(self, message: ConsoleMessage) -> None:
        # Chromium logs the status of the page itself, which the tests expect.
        own = message.location.get("url") == self.page.url and "status of" in message.text
        if message.type in ("error", "warning") and not own:
            self.complaints.append(f"console: {message.text} ({message.location.get('url')})")

    def _note_address(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("data", "blob") and parts.netloc != self._host:
            self.complaints.append(f"request to another host: {url}")

    def check(self) -> None:
        """Expects no complaint up to now."""
        blocked: list[str] = self.page.evaluate("window.__violations")
        found = self.complaints + [f"blocked: {one}" for one in blocked]
        assert found == [], "\n".join(found)


@contextmanager
def watched(
    browser: Browser, http: str, *, scheme: str = "light", width: int = 1280, **options: Any
) -> Iterator[WatchedPage]:
    """Yields a page of a new profile."""
    size: Any = {"width": width, "height": 800}
    colors: Any = scheme
    context = browser.new_context(
        base_url=http, viewport=size, color_scheme=colors, reduced_motion="reduce", **options
    )
    context.set_default_timeout(15_000)
    try:
        yield WatchedPage(context.new_page(), urlsplit(http).netloc)
    finally:
        context.close()
