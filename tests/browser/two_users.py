"""Drives the playground as somebody does who sits in front of it."""

from playwright.sync_api import Locator, Page, expect


class Playground:
    """The playground in a browser, with two users who are in one group."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def from_start_page(self) -> None:
        """Opens `/` and presses its button."""
        self.page.goto("/")
        self.page.get_by_role("button", name="Open a chat with two users").click()
        self.page.wait_for_url("**/api/sockets")
        self.both_connected()

    def by_own_button(self) -> None:
        """Opens the playground without the start page."""
        self.page.goto("/api/sockets")
        self.page.get_by_role("button", name="Create two users and a group").click()
        self.both_connected()

    def both_connected(self) -> None:
        self.expect_state("left", "open")
        self.expect_state("right", "open")

    def panel(self, side: str) -> Locator:
        return self.page.locator(f".panel-{side}")

    def name(self, side: str) -> str:
        return self.panel(side).locator("h2").inner_text()

    def expect_state(self, side: str, state: str) -> None:
        expect(self.page.locator(f".panel-{side}[data-state='{state}']")).to_be_visible()

    def say(self, side: str, text: str) -> None:
        """Types a message and sends it by the Enter key."""
        self.page.locator(f"#{side}-line").fill(text)
        self.page.keyboard.press("Enter")

    def log(self, side: str) -> Locator:
        return self.panel(side).locator(".log-entry")

    def expect_in_log(self, side: str, text: str) -> None:
        expect(self.log(side).filter(has_text=text).first).to_be_visible()

    def expect_ladder(self, state: str, sentence: str) -> None:
        verdict = self.page.locator(f"[data-ladder={state}]")
        expect(verdict).to_contain_text(sentence)

    def marks(self, version: int) -> list[str]:
        """Returns how the left and the right user have a version."""
        rung = self.page.locator(f"[data-version='{version}'] .mark")
        return [(mark.get_attribute("class") or "").partition("mark-")[2] for mark in rung.all()]

    def experiment(self, name: str) -> str:
        """Presses a button of "Break something".

        Returns the explanation, after it was found to be as expected.
        """
        self.page.locator(f"[data-experiment={name}]").click()
        result = self.page.locator(f"[data-result={name}]")
        expect(result.locator(".notice")).to_be_visible(timeout=30_000)
        text = result.inner_text()
        assert "notice-ok" in (result.locator(".notice").get_attribute("class") or ""), text
        assert text.count("\n") >= 5, text
        return text

    def write_frame(self, side: str, text: str) -> Locator:
        """Puts a text into the JSON editor; returns what the page says about it."""
        if not self.panel(side).locator("textarea").is_visible():
            self.panel(side).locator(".raw > summary").click()
        self.panel(side).locator("textarea").fill(text)
        return self.page.locator(f"#{side}-check")

    def send_frame(self, side: str, text: str) -> None:
        self.write_frame(side, text)
        self.panel(side).locator(".raw button").click()
