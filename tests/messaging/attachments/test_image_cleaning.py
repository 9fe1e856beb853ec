"""Images lose their metadata and nothing else; what is no image is refused."""

import os
import struct
import subprocess
import sys
from typing import Any

import pytest
from PIL import Image, ImageChops
from PIL.PngImagePlugin import PngInfo

from messaging.attachments.image_cleaning import BadImage, clean
from messaging.attachments.image_metadata import STRIPPERS
from tests.pictures import SECRET, animation, encoded, exif, huge_png, opened, picture
from tests.servers import ROOT

KINDS = ["JPEG", "PNG", "GIF", "WEBP", "AVIF"]


def options(kind: str, orientation: int = 1) -> dict[str, Any]:
    """Returns metadata of every sort that the format has."""
    notes = PngInfo()
    notes.add_text("Comment", SECRET.decode())
    notes.add_itxt("XML:com.adobe.xmp", SECRET.decode())
    xmp = b"<x:xmpmeta>" + SECRET + b"</x:xmpmeta>"
    by_kind: dict[str, dict[str, Any]] = {
        "JPEG": {"exif": exif(orientation), "comment": SECRET, "xmp": xmp},
        "PNG": {"exif": exif(orientation), "pnginfo": notes},
        "GIF": {"comment": SECRET},
        "WEBP": {"exif": exif(orientation), "xmp": xmp, "lossless": True},
        "AVIF": {"exif": exif(orientation), "xmp": xmp},
    }
    return by_kind[kind]


def type_of(kind: str) -> str:
    return f"image/{kind.lower()}"


@pytest.mark.parametrize("kind", KINDS)
def test_metadata_and_appended_bytes_are_removed(kind: str) -> None:
    data = picture(kind, (600, 400), **options(kind))
    assert SECRET in data
    appended = b"" if kind == "AVIF" else b"<script>" + SECRET + b"</script>"
    cleaned, thumbnail, width, height = clean(data + appended, type_of(kind))
    assert SECRET not in cleaned
    assert SECRET not in thumbnail
    assert (width, height) == (600, 400)
    assert not opened(cleaned).getexif()
    before, after = opened(data).convert("RGB"), opened(cleaned).convert("RGB")
    assert ImageChops.difference(before, after).getbbox() is None
    assert opened(thumbnail).size == (512, 341)


@pytest.mark.parametrize("kind", ["PNG", "GIF", "WEBP", "AVIF"])
def test_animation_keeps_frames_and_timing(kind: str) -> None:
    data = animation(kind, **options(kind))
    cleaned, thumbnail, *_ = clean(data, type_of(kind))
    assert SECRET not in cleaned
    before, after = opened(data), opened(cleaned)
    assert after.n_frames == before.n_frames == 3  # type: ignore[attr-defined]
    for number in range(3):
        before.seek(number)
        after.seek(number)
        assert before.info.get("duration") == after.info.get("duration")
        difference = ImageChops.difference(before.convert("RGB"), after.convert("RGB"))
        assert difference.getbbox() is None
    assert opened(thumbnail).size == (60, 40)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_orientation_is_applied(kind: str) -> None:
    """With orientation 6 the left half of the file is the top of the picture."""
    data = picture(kind, (60, 40), **options(kind, 6))
    cleaned, thumbnail, width, height = clean(data, type_of(kind))
    assert (width, height) == (40, 60)
    assert SECRET not in cleaned
    shown = opened(thumbnail).convert("RGB")
    assert shown.size == (40, 60)
    (red, _, blue) = shown.getpixel((20, 5))  # type: ignore[misc]
    assert red > 200 > blue
    if kind != "AVIF":  # its decoders turn it themselves
        assert opened(cleaned).size == (40, 60)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16"])
def test_every_mode_of_png_has_a_thumbnail(mode: str) -> None:
    data = encoded(Image.new(mode, (900, 30)), "PNG")
    _, thumbnail, *_ = clean(data, "image/png")
    assert opened(thumbnail).size == (512, 17)


def test_cmyk_jpeg_has_a_thumbnail() -> None:
    data = encoded(Image.new("CMYK", (900, 30)), "JPEG")
    cleaned, thumbnail, *_ = clean(data, "image/jpeg")
    assert opened(cleaned).mode == "CMYK"
    assert opened(thumbnail).mode == "RGB"


def test_colour_profile_stays() -> None:
    profile = b"profile" * 20
    for kind in ("JPEG", "PNG", "WEBP"):
        data = picture(kind, icc_profile=profile, **options(kind))
        cleaned, *_ = clean(data, type_of(kind))
        assert opened(cleaned).info["icc_profile"] == profile
    for kind in ("JPEG", "WEBP"):
        huge = picture(kind, icc_profile=os.urandom(1_100_000))
        assert "icc_profile" not in opened(clean(huge, type_of(kind))[0]).info


def test_too_many_pixels_are_refused_before_decoding() -> None:
    with pytest.raises(BadImage, match="megapixels"):
        clean(huge_png(50_001, 1000), "image/png")


@pytest.mark.parametrize("kind", KINDS)
def test_cut_off_and_changed_files_end_in_a_plain_error(kind: str) -> None:
    """Every error is an exception: nothing hangs, and no bad file passes."""
    data = animation(kind) if kind != "JPEG" else picture(kind)
    strip = STRIPPERS[type_of(kind)]
    for end in range(0, len(data), max(1, len(data) // 60)):
        try:
            strip(data[:end])
        except ValueError:
            continue
        except Exception as error:
            raise AssertionError(f"{kind} cut at {end}") from error
    for place in range(0, len(data), max(1, len(data) // 200)):
        changed = bytearray(data)
        changed[place] ^= 0xFF
        try:
            strip(bytes(changed))
        except ValueError:
            continue


def test_process_is_ended_by_its_memory_limit() -> None:
    """A WebP whose canvas takes 2 GB is refused: the decoder gets no memory for it."""
    data = bytearray(animation("WEBP"))
    place = data.index(b"VP8X") + 12
    data[place : place + 6] = struct.pack("<I", 16382)[:3] * 2
    program = (
        "import sys; from messaging.attachments import image_cleaning as cleaning;"
        " cleaning.bound_process(); cleaning.MAX_PIXELS = 10**9;"
        " cleaning.clean(sys.stdin.buffer.read(), 'image/webp')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=bytes(data),
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    assert done.returncode != 0
