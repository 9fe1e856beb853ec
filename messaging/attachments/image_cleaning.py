"""Cleans one image and makes its thumbnail, in a process of its own.

Started by `image_runner` with the file at standard input, and with its type and the descriptors of
two files to write as arguments. It answers one line of JSON.
The kernel bounds its memory and time: a decompression bomb ends this process and nothing else. It
imports no Django, so that it starts within a tenth of a second.
"""

import json
import os
import resource
import sys
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image, ImageOps

from messaging.attachments.image_metadata import MAX_PROFILE, STRIPPERS

MAX_MEMORY = 1024**3
"""Address space. An image of 50 megapixels needs up to 400 MB, twice when it is rotated."""
MAX_SECONDS = 20
"""Processor time."""
MAX_OUTPUT = 512 * 1024**2
MAX_PIXELS = 50_000_000
THUMBNAIL_SIDE = 512
FORMATS = {
    "image/jpeg": "JPEG",
    "image/png": "PNG",
    "image/gif": "GIF",
    "image/webp": "WEBP",
    "image/avif": "AVIF",
}
OPTIONS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 92},
    "PNG": {"compress_level": 3},
    "WEBP": {"quality": 90, "method": 2},
}
"""For images that are rotated and so encoded again."""
ORIENTATION = 0x0112
UPRIGHT = 1
SIDEWAYS = range(5, 9)
TOO_MANY_PIXELS = f"has more than {MAX_PIXELS // 1_000_000} megapixels"


class BadImage(Exception):
    """The sentence is for the client."""


def bound_process() -> None:
    """Limits memory, time and output.

    Also offers the process first to the kernel's OOM killer.
    """
    limits = {
        resource.RLIMIT_AS: MAX_MEMORY,
        resource.RLIMIT_CPU: MAX_SECONDS,
        resource.RLIMIT_FSIZE: MAX_OUTPUT,
        resource.RLIMIT_CORE: 0,
    }
    for limit, value in limits.items():
        with suppress(ValueError, OSError):  # a lower hard limit is as good
            resource.setrlimit(limit, (value, value))
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def clean(data: bytes, content_type: str) -> tuple[bytes, bytes, int, int]:
    """Returns the image without metadata, its thumbnail, width and height.

    Raises BadImage.
    """
    with opened(data, content_type) as image:
        if image.width * image.height > MAX_PIXELS:
            raise BadImage(TOO_MANY_PIXELS)
        orientation = image.getexif().get(ORIENTATION, UPRIGHT)
        is_animated = getattr(image, "is_animated", False)
        is_turned = orientation != UPRIGHT and not is_animated and image.format in OPTIONS
        cleaned = rotated(image) if is_turned else b""
    cleaned = cleaned or STRIPPERS[content_type](data)
    del data
    # Opens what will be served: it must not only have been valid before.
    with opened(cleaned, content_type) as image:
        width, height = image.size
        if image.getexif().get(ORIENTATION, UPRIGHT) in SIDEWAYS:  # AVIF keeps its own
            width, height = height, width
        return cleaned, thumbnail(image), width, height


def opened(data: bytes, content_type: str) -> Image.Image:
    return Image.open(BytesIO(data), formats=[FORMATS[content_type]])


def rotated(image: Image.Image) -> bytes:
    """Applies the orientation and encodes the image again, without metadata."""
    kind = str(image.format)
    profile = _profile_of(image)
    turned = ImageOps.exif_transpose(image)
    if kind == "JPEG" and turned.mode not in ("L", "RGB", "CMYK"):
        turned = turned.convert("RGB")
    turned.info.clear()
    return encoded(turned, kind, icc_profile=profile, **OPTIONS[kind])


def thumbnail(image: Image.Image) -> bytes:
    """Returns a WebP of at most THUMBNAIL_SIDE pixels, of the first frame."""
    profile = _profile_of(image) if image.mode in ("RGB", "RGBA") else None
    image.draft("RGB", (2 * THUMBNAIL_SIDE, 2 * THUMBNAIL_SIDE))  # JPEG decodes a fraction
    image.load()
    if image.mode.startswith("I"):  # 16 bits a pixel
        image = image.convert("I").point(lambda value: value / 256).convert("L")
    if image.mode == "P":
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    image.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    ImageOps.exif_transpose(image, in_place=True)
    if image.mode not in ("RGB", "RGBA"):
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    image.info.clear()
    return encoded(image, "WEBP", icc_profile=profile, quality=80)


def _profile_of(image: Image.Image) -> bytes | None:
    profile: bytes | None = image.info.get("icc_profile")
    return profile if profile and len(profile) <= MAX_PROFILE else None


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    output = BytesIO()
    image.save(output, kind, **options)
    return output.getvalue()


def write(descriptor: int, data: bytes) -> None:
    file: BinaryIO
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)


def main(content_type: str, image_file: int, thumbnail_file: int) -> None:
    bound_process()
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS
    answer: dict[str, Any]
    try:
        image, small, width, height = clean(sys.stdin.buffer.read(), content_type)
    except BadImage as error:
        answer = {"error": str(error)}
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        answer = {"error": TOO_MANY_PIXELS}
    except Exception as error:  # noqa: BLE001 - decoders raise errors of any type
        answer = {"error": "cannot be decoded", "type": type(error).__name__}
    else:
        try:
            write(image_file, image)
            write(thumbnail_file, small)
            answer = {"width": width, "height": height}
        except OSError as error:
            # Such as a full disk, which is no fault of the image.
            answer = {"unwritten": type(error).__name__}
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:4]))
