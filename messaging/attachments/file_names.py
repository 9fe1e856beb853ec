"""Cleans file names, which are only displayed and never become a path."""

import re
import unicodedata
from pathlib import PurePosixPath

MAX_LENGTH = 255
MAX_SUFFIX = 32
FALLBACK = "file"
SPACES = re.compile(r"\s+")


def clean_name(name: str) -> str:
    """Removes folders and invisible characters: NUL, line breaks, bidi controls."""
    last = re.split(r"[/\\]", name)[-1]
    shown = "".join(sign if _is_shown(sign) else " " * sign.isspace() for sign in last)
    tidy = SPACES.sub(" ", unicodedata.normalize("NFC", shown)).strip(" ")
    if tidy.strip(". ") == "":
        return FALLBACK
    return _shortened(tidy)


def _is_shown(sign: str) -> bool:
    return unicodedata.category(sign) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def _shortened(name: str) -> str:
    if len(name) <= MAX_LENGTH:
        return name
    suffix = PurePosixPath(name).suffix[:MAX_SUFFIX]
    return name[: MAX_LENGTH - len(suffix)] + suffix
