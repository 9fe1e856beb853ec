"""File names are for display: they reach no path and hide nothing."""

import pytest

from messaging.attachments.file_names import clean_name


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("beach.jpg", "beach.jpg"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\ila\\beach.jpg", "beach.jpg"),
        ("a\x00b.txt", "ab.txt"),
        ("two\r\nlines.txt", "two lines.txt"),
        ("exe\u202egpj.", "exegpj."),
        ("a\u200bb\u2028c", "ab c"),
        (".htaccess", ".htaccess"),
        ("", "file"),
        ("..", "file"),
        ("/", "file"),
        ("\u202e", "file"),
        ("\ud800.txt", ".txt"),
        ("e\u0301te\u0301.txt", "été.txt"),
    ],
)
def test_name_is_cleaned(sent: str, shown: str) -> None:
    assert clean_name(sent) == shown


def test_long_name_keeps_its_suffix() -> None:
    assert clean_name("a" * 500 + ".jpeg") == "a" * 250 + ".jpeg"
    assert len(clean_name("a." + "b" * 500)) == 255
