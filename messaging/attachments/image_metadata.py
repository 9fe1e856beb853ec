"""Removes metadata from image files, without encoding them again.

Only the parts that a decoder needs are kept: unknown metadata and bytes appended to the file go,
too. Pixels keep their quality, and animations all their frames. Each function raises ValueError for
a file that it cannot read to its end. Imports no Django: it runs in the processes of
`image_cleaning`.
"""

import re
import struct
from collections.abc import Iterator
from typing import Any

MAX_PROFILE = 1024**2
"""Bytes of a colour profile. A larger one is dropped: the picture needs a few kilobytes."""

# JPEG (ITU-T T.81)

JPEG_START, JPEG_END, JPEG_SCAN = 0xD8, 0xD9, 0xDA
JPEG_KEPT = (
    frozenset(range(0xC0, 0xD0))  # frames, Huffman tables, arithmetic coding
    | {0xDA, 0xDB, 0xDC, 0xDD, 0xDE, 0xDF}  # scans, quantisation, restarts
)
JPEG_JFIF, JPEG_PROFILE, JPEG_ADOBE = 0xE0, 0xE2, 0xEE
ICC = b"ICC_PROFILE\0"
JFIF = b"\xff\xe0\x00\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0"
"""A header of our own: the file's may hold a thumbnail."""
# Within a scan, FF 00 is data and FF D0 to D7 are restart marks.
JPEG_MARK = re.compile(rb"\xff(?=[^\x00\xd0-\xd7\xff])")


def strip_jpeg(data: bytes) -> bytes:
    """Keeps tables, scans, the colour profile and Adobe's colour transform."""
    if data[:2] != b"\xff\xd8":
        raise ValueError("not a JPEG file")
    segments = [*_jpeg_segments(data)]
    profile = sum(len(segment) for mark, segment in segments if mark == JPEG_PROFILE)
    kept = (
        segment
        for mark, segment in segments
        if mark in JPEG_KEPT
        or (mark == JPEG_PROFILE and profile <= MAX_PROFILE and segment[4:].startswith(ICC))
        or (mark == JPEG_ADOBE and segment[4:].startswith(b"Adobe"))
    )
    has_jfif = any(mark == JPEG_JFIF and segment[4:9] == b"JFIF\0" for mark, segment in segments)
    return b"".join([b"\xff\xd8", JFIF if has_jfif else b"", *kept, b"\xff\xd9"])


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yields mark and bytes of each segment; scans come with their data."""
    place = 2
    while True:
        mark, start, place = _jpeg_segment(data, place)
        if mark == JPEG_END:
            return
        if mark == JPEG_SCAN:
            found = JPEG_MARK.search(data, place)
            place = found.start() if found else len(data)
        yield mark, data[start:place]


def _jpeg_segment(data: bytes, place: int) -> tuple[int, int, int]:
    """Returns the mark of the next segment, its start and its end."""
    while data[place : place + 2] == b"\xff\xff":  # padding
        place += 1
    if len(data) < place + 2 or data[place : place + 1] != b"\xff":
        raise ValueError("a segment of the JPEG file is missing")
    mark = data[place + 1]
    if mark in (JPEG_START, JPEG_END):
        return mark, place, place + 2
    (length,) = _unpack(">H", data, place + 2)
    end = place + 2 + length
    if end < place + 4 or end > len(data):
        raise ValueError("a segment of the JPEG file is cut off")
    return mark, place, end


# PNG and APNG, by the W3C

PNG_START = b"\x89PNG\r\n\x1a\n"
PNG_KEPT = frozenset(
    {b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS"}
    | {b"cHRM", b"gAMA", b"sBIT", b"sRGB", b"cICP", b"bKGD", b"pHYs"}
    | {b"acTL", b"fcTL", b"fdAT"}
)


def strip_png(data: bytes) -> bytes:
    """Keeps the chunks of picture, colours and animation; texts, times and EXIF go."""
    if data[:8] != PNG_START:
        raise ValueError("not a PNG file")
    kept, place, kind = [PNG_START], 8, b""
    while kind != b"IEND":
        (length,) = _unpack(">I", data, place)
        kind = data[place + 4 : place + 8]
        end = place + 12 + length
        if end > len(data):
            raise ValueError("a chunk of the PNG file is cut off")
        if kind in PNG_KEPT or (kind == b"iCCP" and length <= MAX_PROFILE):
            kept.append(data[place:end])
        place = end
    return b"".join(kept)


# GIF (89a)

GIF_EXTENSION, GIF_IMAGE, GIF_END = 0x21, 0x2C, 0x3B
GIF_CONTROL, GIF_APPLICATION = 0xF9, 0xFF
GIF_LOOPS = (b"NETSCAPE2.0", b"ANIMEXTS1.0")


def strip_gif(data: bytes) -> bytes:
    """Removes comments and extensions; keeps frames, their timing and loops."""
    if data[:6] not in (b"GIF87a", b"GIF89a"):
        raise ValueError("not a GIF file")
    place = _after_colours(data, 13, 10)
    kept = [data[:place]]
    while _byte(data, place) != GIF_END:
        start = place
        place = _after_blocks(data, _gif_head_end(data, start))
        if _is_kept_gif(data, start):
            kept.append(data[start:place])
    return b"".join([*kept, bytes([GIF_END])])


def _gif_head_end(data: bytes, start: int) -> int:
    kind = _byte(data, start)
    if kind == GIF_IMAGE:
        return _after_colours(data, start + 10, start + 9) + 1
    if kind == GIF_EXTENSION:
        return start + 2
    raise ValueError("an unknown block in the GIF file")


def _after_blocks(data: bytes, place: int) -> int:
    while size := _byte(data, place):
        place += 1 + size
    return place + 1


def _is_kept_gif(data: bytes, start: int) -> bool:
    label = _byte(data, start + 1)
    is_loop = label == GIF_APPLICATION and data[start + 3 : start + 14] in GIF_LOOPS
    return _byte(data, start) == GIF_IMAGE or label == GIF_CONTROL or is_loop


def _after_colours(data: bytes, place: int, flags_at: int) -> int:
    """Returns the end of the colour table that may stand at `place`."""
    flags = _byte(data, flags_at)
    return place + (3 << (1 + (flags & 7)) if flags & 0x80 else 0)


# WebP (RFC 9649)

WEBP_KEPT = frozenset({b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF"})
WEBP_PROFILE, WEBP_EXIF_AND_XMP = 0x20, 0x0C
"""Flags of the VP8X chunk."""


def strip_webp(data: bytes) -> bytes:
    """Keeps the chunks of picture and animation, and the colour profile."""
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        raise ValueError("not a WebP file")
    (size,) = _unpack("<I", data, 4)
    chunks = [*_webp_chunks(data, min(len(data), size + 8))]
    kept = [chunk for chunk in chunks if _is_kept_webp(chunk)]
    has_profile = any(chunk[:4] == b"ICCP" for chunk in kept)
    body = b"".join(
        _without_flags(chunk, has_profile=has_profile) if chunk[:4] == b"VP8X" else chunk
        for chunk in kept
    )
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def _webp_chunks(data: bytes, end: int) -> Iterator[bytes]:
    place = 12
    while place < end:
        (length,) = _unpack("<I", data, place + 4)
        after = place + 8 + length + length % 2
        if place + 8 + length > end:
            raise ValueError("a chunk of the WebP file is cut off")
        yield data[place:after]
        place = after


def _is_kept_webp(chunk: bytes) -> bool:
    return chunk[:4] in WEBP_KEPT or (chunk[:4] == b"ICCP" and len(chunk) <= MAX_PROFILE)


def _without_flags(chunk: bytes, *, has_profile: bool) -> bytes:
    flags = _byte(chunk, 8) & ~WEBP_EXIF_AND_XMP
    if not has_profile:
        flags &= ~WEBP_PROFILE
    return chunk[:8] + bytes([flags]) + chunk[9:]


# AVIF (ISO/IEC 14496-12 and 23008-12)

AVIF_CONTAINERS = frozenset({b"moov", b"trak"})
AVIF_ERASED = frozenset({b"udta", b"uuid", b"free", b"skip"})
ITEM_ENTRY = {2: ">HH4s", 3: ">IH4s"}
WIDE_IDS = {2: 4}
"""By version of the box; older `infe` boxes name no type."""
NO_EXIF = b"\0\0\0\0II*\0\x08\0\0\0\0\0\0\0\0\0"
"""The payload of an Exif item: the offset of the TIFF header, and a header without entries."""


def strip_avif(data: bytes) -> bytes:
    """Overwrites Exif, XMP and user data in place, so that offsets stay right."""
    wiped = bytearray(data)
    if data[4:8] != b"ftyp":
        raise ValueError("not an AVIF file")
    _wipe_boxes(wiped, 0, len(wiped))
    return bytes(wiped)


def _boxes(data: bytes | bytearray, place: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yields type, start of the payload and end of each box."""
    while place < end:
        size, kind = _unpack(">I4s", data, place)
        start = place + 8
        if size == 1:
            (size,) = _unpack(">Q", data, start)
            start += 8
        after = end if size == 0 else place + size
        if after < start or after > end:
            raise ValueError("a box of the AVIF file is cut off")
        yield kind, start, after
        place = after


def _wipe_boxes(data: bytearray, place: int, end: int) -> None:
    for kind, start, after in _boxes(data, place, end):
        if kind in AVIF_CONTAINERS:
            _wipe_boxes(data, start, after)
        elif kind == b"meta":
            _wipe_items(data, start + 4, after)
        elif kind in AVIF_ERASED:
            data[start:after] = bytes(after - start)
            data[start - 4 : start] = b"free" if data[start - 4 : start] == kind else kind


def _wipe_items(data: bytearray, place: int, end: int) -> None:
    """Overwrites the items of a `meta` box that hold Exif or XMP."""
    boxes = {kind: (start, after) for kind, start, after in _boxes(data, place, end)}
    if b"iinf" not in boxes or b"iloc" not in boxes:
        return
    kinds = dict(_item_kinds(data, *boxes[b"iinf"]))
    in_box = boxes.get(b"idat", (0, 0))[0]
    for item, method, extents in _item_extents(data, boxes[b"iloc"][0]):
        if kinds.get(item) not in (b"Exif", b"mime"):
            continue
        blank = NO_EXIF if kinds[item] == b"Exif" else b" "
        filler = b"\0" if kinds[item] == b"Exif" else b" "
        for offset, length in extents:
            first = offset + (in_box if method == 1 else 0)
            if first + length > len(data):
                raise ValueError("an item of the AVIF file is cut off")
            data[first : first + length] = blank.ljust(length, filler)[:length]


def _item_kinds(data: bytearray, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    first = start + (8 if data[start] else 6)
    for kind, place, _ in _boxes(data, first, end):
        if kind == b"infe" and data[place] in ITEM_ENTRY:
            item, _, name = _unpack(ITEM_ENTRY[data[place]], data, place + 4)
            yield item, name


def _item_extents(data: bytearray, start: int) -> Iterator[tuple[int, int, list[tuple[int, int]]]]:
    """Yields id, construction method and the places of each item of an `iloc` box."""
    reader = _Reader(data, start)
    version = reader.number(1)
    reader.number(3)
    sizes = reader.number(2)
    offset_size, length_size, base_size = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15
    index_size = sizes & 15 if version else 0
    wide = WIDE_IDS.get(version, 2)
    for _ in range(reader.number(wide)):
        item = reader.number(wide)
        method = reader.number(2) & 15 if version else 0
        reader.number(2)
        base = reader.number(base_size)
        extents = []
        for _ in range(reader.number(2)):
            reader.number(index_size)
            extents.append((base + reader.number(offset_size), reader.number(length_size)))
        yield item, method, extents


class _Reader:
    def __init__(self, data: bytearray, place: int) -> None:
        self._data = data
        self._place = place

    def number(self, size: int) -> int:
        """Reads a big-endian number of `size` bytes; of none it is 0."""
        end = self._place + size
        if end > len(self._data):
            raise ValueError("a box of the AVIF file is cut off")
        value = int.from_bytes(self._data[self._place : end], "big")
        self._place = end
        return value


STRIPPERS = {
    "image/jpeg": strip_jpeg,
    "image/png": strip_png,
    "image/gif": strip_gif,
    "image/webp": strip_webp,
    "image/avif": strip_avif,
}


def _byte(data: bytes, place: int) -> int:
    if place >= len(data):
        raise ValueError("the file is cut off")
    return data[place]


def _unpack(form: str, data: bytes | bytearray, place: int) -> tuple[Any, ...]:
    try:
        return struct.unpack_from(form, data, place)
    except struct.error:
        raise ValueError("the file is cut off") from None
