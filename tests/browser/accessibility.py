"""Checks that hold for every page: accessibility, width, keyboard."""

from typing import Any

from playwright.sync_api import Page

# Numbers everything that the Tab key should reach.
NUMBER_CONTROLS = """
() => [...document.querySelectorAll(
    'a[href], button, input, select, textarea, summary, [tabindex="0"]')]
  .filter((node) => !node.disabled && node.type !== "hidden" && node.checkVisibility())
  .forEach((node, number) => { node.__number = number; })
"""
FOCUSED = """
() => {
  const node = document.activeElement;
  if (!node || node === document.body || node.__reached) return null;
  node.__reached = true;
  const style = getComputedStyle(node);
  const visible = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
  return [visible, node.outerHTML.slice(0, 120)];
}
"""
MISSED = """
() => [...document.querySelectorAll("*")]
  .filter((node) => node.__number !== undefined && !node.__reached && node.checkVisibility())
  .map((node) => node.outerHTML.slice(0, 120))
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

    Expects every control to be reached, each with a visible outline. Controls that appear
    meanwhile need not be: a frame that arrives adds one to a log that was passed already.
    """
    page.evaluate(NUMBER_CONTROLS)
    for _ in range(MAX_TABS):
        page.keyboard.press("Tab")
        focused = page.evaluate(FOCUSED)
        if focused is None:
            break
        visible, markup = focused
        assert visible, f"no focus is visible on {markup}"
    missed = page.evaluate(MISSED)
    assert missed == [], f"Tab does not reach {missed}"
