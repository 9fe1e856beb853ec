"""Detects the type of a file from its bytes, not from its name or header."""

import re
from pathlib import PurePosixPath

import puremagic

from .errors import UnsupportedType

HEAD_SIZE = 4096
"""Bytes at the beginning of a file that are looked at."""
IMAGES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp", "image/avif"})
INLINE = IMAGES | {"video/mp4", "video/webm", "audio/ogg", "video/ogg", "audio/mpeg", "audio/mp4"}
"""Types that browsers show or play in place. Every other type is downloaded as `DOWNLOAD`."""
MARKUP_REFUSED = "HTML, XML and SVG files are not accepted"
DOWNLOAD = "application/octet-stream"
ZIP = "application/zip"
TEXT = "text/plain"
REFUSED = frozenset({"text/html", "application/xhtml+xml", "text/xml", "application/xml"})
# What browsers take for HTML (WHATWG MIME Sniffing §7.1), and SVG, which holds scripts too.
MARKUP = re.compile(
    rb"(\xef\xbb\xbf)?[\s\0]*<(!doctype|html|head|script|iframe|h1|div|font|table|a|style|title|b"
    rb"|body|br|p|!--|svg|\?xml|\?php)[\s>!\-/?]",
    re.IGNORECASE,
)
HEIF_BRANDS = frozenset(
    (
        *(b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis"),
        *(b"mif1", b"mif2", b"msf1", b"miaf", b"jxl ", b"crx "),
    )
)
"""Images in ISO media files (https://mp4ra.org/registered-types/brands), some of which puremagic
takes for data of no known type. AVIF has these brands, too, after its own."""
BY_START = (
    (re.compile(rb".{4}ftypavi[fs]", re.DOTALL), "image/avif"),
    (re.compile(rb".{4}ftypM4A", re.DOTALL), "audio/mp4"),
    (re.compile(rb"ID3"), "audio/mpeg"),
)
"""Types that puremagic takes for others."""
MAX_CHARACTER_BYTES = 4
UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def detect_type(head: bytes, name: str) -> str:
    """Returns the content type of a file that begins with `head`.

    Raises UnsupportedType.

    Refused are HTML, XML and SVG, and images whose metadata cannot be removed. The suffix of the
    name only decides between types that begin alike, such as documents that are ZIP files.
    """
    if MARKUP.match(_in_utf_8(head)):
        raise UnsupportedType(MARKUP_REFUSED)
    found = _matches(head, PurePosixPath(name).suffix.lower())
    if found in REFUSED or found.endswith("+xml"):
        raise UnsupportedType(MARKUP_REFUSED)
    if (found.startswith("image/") or _is_heif(head)) and found not in IMAGES:
        raise UnsupportedType("Images must be JPEG, PNG, GIF, WebP or AVIF")
    return found


def _is_heif(head: bytes) -> bool:
    """Whether an ISO media file has a brand of images, first or as compatible."""
    box = head[: int.from_bytes(head[:4], "big")]
    brands = {box[start : start + 4] for start in range(8, len(box), 4)}
    return head[4:8] == b"ftyp" and not brands.isdisjoint(HEIF_BRANDS)


def _in_utf_8(head: bytes) -> bytes:
    if head[:2] in UTF_16_MARKS:
        return head.decode("utf-16", "replace").encode("utf-8", "replace")
    return head


def _matches(head: bytes, suffix: str) -> str:
    if head.startswith(b"PK\x03\x04"):
        return _zip_type(head, suffix)
    if head.startswith(b"OggS"):
        return "video/ogg" if b"theora" in head else "audio/ogg"
    for start, content_type in BY_START:
        if start.match(head):
            return content_type
    try:
        matches = puremagic.magic_string(head)
    except (puremagic.PureError, ValueError):  # ValueError: an empty file
        return TEXT if _is_text(head) else DOWNLOAD
    return next((match.mime_type for match in matches if match.mime_type), DOWNLOAD)


def _zip_type(head: bytes, suffix: str) -> str:
    named = (match for match in puremagic.magic_string(head) if match.extension == suffix)
    return next((match.mime_type for match in named if match.mime_type), ZIP)


def _is_text(head: bytes) -> bool:
    if b"\0" in head:
        return False
    try:
        head.decode()
    except UnicodeDecodeError as error:
        # Only a character that HEAD_SIZE cut may be incomplete.
        return len(head) == HEAD_SIZE and error.start > HEAD_SIZE - MAX_CHARACTER_BYTES
    return True
