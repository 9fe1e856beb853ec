"""The client follows the close codes in docs/websocket.md."""

import re

import pytest

from config.chat_client.close_codes import After, after_close
from tests.servers import ROOT

TABLE = re.compile(r"^\| ([\d, ]+) \| (.*) \| (.*) \|$", re.MULTILINE)


def rows() -> list[tuple[int, str, str]]:
    """Yields close code, error code before it, and the documented reaction."""
    text = (ROOT / "docs/websocket.md").read_text()
    section = text[text.index("## When it closes") :]
    section = section[: section.index("\n## ", 1)]
    return [
        (int(code), error, advice)
        for codes, errors, advice in TABLE.findall(section)
        for code in codes.split(",")
        for error in re.findall(r"`([a-z_]+)`", errors) or [""]
        if not error.startswith("make")
    ]


def test_document_contains_the_close_code_table() -> None:
    assert {code for code, _, _ in rows()} >= {1000, 1006, 1011, 1012, 4400, 4401, 4404, 4408, 4429}


@pytest.mark.parametrize(("code", "error", "advice"), rows())
def test_each_close_code_is_handled_as_documented(code: int, error: str, advice: str) -> None:
    action = after_close(code, error)
    if error == "session_ended":
        assert action is After.STOP  # the user logs in, not the client
    elif "new token" in advice:
        assert action is After.RENEW
    elif advice.startswith("Reconnect"):
        assert action is After.RECONNECT
    else:
        assert action is After.STOP
