"""The type of a file comes from its bytes."""

import pytest

from messaging.attachments.errors import UnsupportedType
from messaging.attachments.file_types import detect_type
from tests.pictures import animation, picture

WEBM = b"\x1aE\xdf\xa3\x9fB\x86\x81\x01B\xf7\x81\x01B\xf2\x81\x04B\xf3\x81\x08B\x82\x84webmB\x87"


@pytest.mark.parametrize(
    ("head", "name", "detected"),
    [
        (picture("PNG"), "page.html", "image/png"),
        (picture("JPEG"), "", "image/jpeg"),
        (picture("WEBP"), "", "image/webp"),
        (picture("AVIF"), "", "image/avif"),
        (animation("AVIF"), "", "image/avif"),
        (animation("GIF"), "", "image/gif"),
        (b"\0\0\0\x18ftypisom\0\0\2\0isomiso2mp41", "", "video/mp4"),
        (b"\0\0\0\x18ftypM4A \0\0\2\0isomiso2mp41", "", "audio/mp4"),
        (WEBM, "", "video/webm"),
        (b"OggS\0\2" + bytes(22) + b"\x01vorbis", "", "audio/ogg"),
        (b"OggS\0\2" + bytes(22) + b"\x80theora", "", "video/ogg"),
        (b"ID3\x03" + bytes(20), "", "audio/mpeg"),
        (b"%PDF-1.7\n", "", "application/pdf"),
        (b"PK\x03\x04" + bytes(30), "bomb.zip", "application/zip"),
        (b"just text", "page.html", "text/plain"),
        ("schön".encode(), "", "text/plain"),
        (b"\x01\x02\x03\x04\xff\xfe", "", "application/octet-stream"),
    ],
)
def test_type_is_detected(head: bytes, name: str, detected: str) -> None:
    assert detect_type(head[:4096], name) == detected


def test_suffix_decides_between_documents_that_are_archives() -> None:
    archive = b"PK\x03\x04" + bytes(30)
    assert "wordprocessing" in detect_type(archive, "letter.docx")
    assert detect_type(archive, "letter.html") == "application/zip"


@pytest.mark.parametrize(
    "head",
    [
        b"<!doctype HTML>",
        b"\n\t <HTML>",
        b"\0<script>",
        b"<!-- a comment --><script>",
        b"<svg onload='alert(1)'>",
        b"<?xml version='1.0'?><html xmlns='http://www.w3.org/1999/xhtml'>",
        "\ufeff<html>".encode("utf-16-le"),
        "\ufeff<html>".encode("utf-16-be"),
        picture("BMP"),
        picture("TIFF"),
        b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
        b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic",
        b"\0\0\0\x18ftypcrx \0\0\0\x01crx isom",
    ],
)
def test_markup_and_other_images_are_refused(head: bytes) -> None:
    with pytest.raises(UnsupportedType):
        detect_type(head, "cat.png")


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf", "image/avif"),
        (b"\0\0\0\x18ftypisom\0\0\x02\0isomiso2", "video/mp4"),
    ],
)
def test_brand_of_an_iso_media_file_decides_its_type(head: bytes, expected: str) -> None:
    assert detect_type(head + bytes(100), "cat") == expected
