"""Makes image files, with metadata that must not be served."""

import struct
import zlib
from io import BytesIO
from typing import Any

from PIL import Image

SECRET = b"SECRET-PLACE"
"""Part of every text in the metadata."""
ORIENTATION, MAKER, GPS = 0x0112, 0x010F, 0x8825


def picture(
    kind: str = "PNG", size: tuple[int, int] = (60, 40), *, mode: str = "RGB", **options: Any
) -> bytes:
    """Returns an image whose left half is red and whose right half is blue."""
    image = Image.new("RGB", size, "red")
    image.paste("blue", (size[0] // 2, 0, *size))
    return encoded(image.convert(mode), kind, **options)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    output = BytesIO()
    image.save(output, kind, **options)
    return output.getvalue()


def exif(orientation: int = 1) -> bytes:
    """Returns EXIF with the camera and the place."""
    data = Image.Exif()
    data[ORIENTATION] = orientation
    data[MAKER] = SECRET.decode()
    data.get_ifd(GPS)[29] = SECRET.decode()
    return data.tobytes()


def animation(kind: str, **options: Any) -> bytes:
    """Returns three frames of 60 by 40 pixels."""
    frames = [Image.new("RGB", (60, 40), colour) for colour in ("red", "green", "blue")]
    more = {"save_all": True, "append_images": frames[1:], "duration": 50, "loop": 0}
    return encoded(frames[0], kind, **more, **options)


def huge_png(width: int, height: int) -> bytes:
    """Returns a valid PNG of few kilobytes for any size: all pixels are black."""
    rows = zlib.compressobj()
    packed = b"".join(rows.compress(bytes(1 + (width + 7) // 8)) for _ in range(height))
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", packed + rows.flush()), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_png_chunk(*chunk) for chunk in chunks)


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def opened(data: bytes) -> Image.Image:
    return Image.open(BytesIO(data))
