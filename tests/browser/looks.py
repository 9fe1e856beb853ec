"""Checks that hold for every page: accessibility, width, keyboard."""

from typing import Any

from playwright.sync_api import Page

# Everything that the Tab key should reach. A group of radio buttons is one stop.
CONTROLS = """
() => [...document.querySelectorAll(
    'a[href], button, input, select, textarea, summary, [tabindex="0"]')]
  .filter((node) => !node.disabled && node.type !== "hidden" && node.checkVisibility())
  .length
"""
FOCUSED = """
() => {
  const node = document.activeElement;
  if (!node || node === document.body) return null;
  node.__number ??= (window.__last = (window.__last ?? 0) + 1);
  const style = getComputedStyle(node);
  const visible = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
  return [node.__number, visible, node.outerHTML.slice(0, 120)];
}
"""
MAX_TABS = 300


def check_accessibility(page: Page, axe: str) -> None:
    """Expects axe to find nothing, by WCAG 2.2 AA and its best practices."""
    # Not a script of the page: the debugging protocol evaluates it, past the policy.
    page.evaluate(axe)
    found: dict[str, Any] = page.evaluate("() => axe.run()")
    violations = [
        f"{one['id']}: {node['html'][:200]} {node['failureSummary']}"
        for one in found["violations"]
        for node in one["nodes"]
    ]
    assert violations == [], "\n".join(violations)


def check_width(page: Page) -> None:
    """Expects no scrolling from side to side."""
    widest, window = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert widest <= window


def check_keyboard(page: Page) -> None:
    """Presses Tab until it comes around.

    Expects every control to be reached, each with a visible outline.
    """
    expected = page.evaluate(CONTROLS)
    reached: set[int] = set()
    for _ in range(MAX_TABS):
        page.keyboard.press("Tab")
        focused = page.evaluate(FOCUSED)
        if focused is None or focused[0] in reached:
            break
        number, visible, markup = focused
        assert visible, f"no focus is visible on {markup}"
        reached.add(number)
    assert len(reached) == expected
