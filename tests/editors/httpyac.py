"""docs/chat.http, sent from top to bottom."""

from pathlib import Path

from .npm import run_tool
from .paths import HTTP_FILE

ADDRESS = "@host = 127.0.0.1:8000\n"


def run_http_file(http: str, folder: Path) -> int:
    """Sends all requests; returns how many there were. Raises AssertionError if one fails."""
    text = HTTP_FILE.read_text()
    assert ADDRESS in text
    copy = folder / HTTP_FILE.name
    copy.write_text(text.replace(ADDRESS, f"@host = {http.removeprefix('http://')}\n"))
    printed = run_tool("httpyac", "send", copy.name, "--all", "--no-color", home=folder)
    count = text.count("\n### ")
    assert f"{count} requests processed ({count} succeeded)" in printed, printed[-4000:]
    return count
