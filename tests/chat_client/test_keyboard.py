"""The line editor turns keys into lines."""

import pytest

from config.chat_client.keyboard import MAX_LINE, LineEditor


def lines(keys: str) -> tuple[list[str | None], str]:
    """Returns the finished lines and the text on the input line."""
    drawn: list[str] = []
    return list(LineEditor(drawn.append).feed(keys)), drawn[-1]


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("hello\nwor", (["hello"], "wor")),
        ("helo\x7flo\n", (["hello"], "")),
        ("\x7f\x08a", ([], "a")),
        ("all gone\x15new", ([], "new")),
        ("two words \x17more", ([], "two more")),
        ("\x1b[A\x1b[1;5D\x1bOPx\x1b[3~y", ([], "xy")),
        ("a\tb\x00\x1c\u202ec", ([], "a bc")),
        ("\x04", ([None], "")),
        ("kept\x04", ([], "kept")),
        ("您好\x7f", ([], "您")),
    ],
)
def test_keys_edit_the_line(keys: str, expected: tuple[list[str | None], str]) -> None:
    assert lines(keys) == expected


def test_ctrl_c_interrupts() -> None:
    with pytest.raises(KeyboardInterrupt):
        lines("half\x03")


def test_escape_sequence_may_arrive_in_two_reads() -> None:
    drawn: list[str] = []
    editor = LineEditor(drawn.append)
    for keys in ("a\x1b", "[", "Ab"):
        list(editor.feed(keys))
    assert drawn[-1] == "ab"


def test_line_length_is_limited() -> None:
    assert len(lines("x" * (MAX_LINE + 5))[1]) == MAX_LINE
